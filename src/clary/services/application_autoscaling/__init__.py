"""Application Auto Scaling: capacities of endpoints that follow their load. One noun, one file."""
