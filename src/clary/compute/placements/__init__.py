"""Placements: where the hosts of a run go, one file each."""
