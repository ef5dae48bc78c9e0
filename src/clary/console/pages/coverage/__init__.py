"""The page: Coverage."""
