"""Secrets Manager: secrets by name, encrypted at rest."""
