"""The page: Experiments."""
