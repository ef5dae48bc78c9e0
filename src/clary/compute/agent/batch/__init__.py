"""Batch transform on one host: objects in, each through the model payload by payload, objects out."""
