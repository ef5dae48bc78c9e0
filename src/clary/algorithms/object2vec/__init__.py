"""Embeddings of pairs of objects."""
