"""Machines, leases, events, logs and metrics of jobs."""
