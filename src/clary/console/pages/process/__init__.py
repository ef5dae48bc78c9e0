"""The page: Process."""
