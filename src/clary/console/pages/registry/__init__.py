"""The page: Model registry."""
