"""K nearest neighbours."""
