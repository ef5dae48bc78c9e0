"""The page: Tune."""
