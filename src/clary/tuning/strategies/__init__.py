"""Strategies, a file each, named as the service's `Strategy` in snake case."""
