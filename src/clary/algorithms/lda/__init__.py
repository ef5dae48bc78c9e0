"""Latent Dirichlet Allocation."""
