"""What code inside a job uses; a plain library that knows no server."""
