"""A neural topic model."""
