"""The page: Choose the region that is shown."""
