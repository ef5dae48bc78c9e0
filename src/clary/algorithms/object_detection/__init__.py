"""Object Detection, SageMaker's built-in `object-detection`."""
