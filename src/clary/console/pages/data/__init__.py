"""The page: Data."""
