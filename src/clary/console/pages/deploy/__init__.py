"""The page: Deploy."""
