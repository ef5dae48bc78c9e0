"""The page: One job."""
