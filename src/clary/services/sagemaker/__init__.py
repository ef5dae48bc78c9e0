"""Amazon SageMaker's control plane, a noun a file."""
