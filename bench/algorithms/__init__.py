"""The built-in algorithms against their peers: one file each."""
