"""Programmes: what an agent does for each kind of run, one file each, named like the `RunKind`."""
