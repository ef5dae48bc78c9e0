"""Runners: how a host's program runs, one file each."""
