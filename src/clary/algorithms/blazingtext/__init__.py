"""Vectors of words, and labels of texts."""
