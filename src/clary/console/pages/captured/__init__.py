"""The page: Captured."""
