"""The page: One group of the model registry."""
