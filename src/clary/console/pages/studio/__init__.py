"""The page: Studio."""
