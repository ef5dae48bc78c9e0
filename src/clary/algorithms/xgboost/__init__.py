"""Gradient boosted trees, SageMaker's built-in `xgboost`."""
