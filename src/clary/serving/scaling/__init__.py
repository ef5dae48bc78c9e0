"""How much a variant is asked, and how many instances that makes: pure arithmetic, no store."""
