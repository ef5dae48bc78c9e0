"""The page: Endpoints."""
