"""The page: One model of the registry."""
