"""The page: Notebooks."""
