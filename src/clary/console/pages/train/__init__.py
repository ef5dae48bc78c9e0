"""The page: Train."""
