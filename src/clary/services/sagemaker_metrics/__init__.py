"""SageMaker metrics: what runs log over time."""
