"""The page: Lineage."""
