"""The page: Home."""
