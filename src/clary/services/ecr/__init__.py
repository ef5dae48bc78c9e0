"""Elastic Container Registry: repositories, images and layers, per account and region."""
