"""Hyperparameter tuning without a server: spaces, trials, strategies, rules of stopping."""
