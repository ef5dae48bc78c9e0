"""K-means clustering."""
