"""The page: One tuning job."""
