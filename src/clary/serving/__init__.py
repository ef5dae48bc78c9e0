"""Replicas, formats and the frames that carry requests to them."""
