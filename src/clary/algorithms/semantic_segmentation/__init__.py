"""Semantic Segmentation, SageMaker's built-in `semantic-segmentation`."""
