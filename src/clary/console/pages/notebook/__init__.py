"""The page: Notebook."""
