"""Image Classification, SageMaker's built-in `image-classification`."""
