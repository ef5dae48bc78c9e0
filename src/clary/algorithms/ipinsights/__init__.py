"""Entities and the addresses they use."""
