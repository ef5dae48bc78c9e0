"""Routing policies: who answers one invocation. One policy, one file."""
