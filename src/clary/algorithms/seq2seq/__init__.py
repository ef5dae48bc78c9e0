"""Sequence to sequence: translations, summaries, any tokens to any others."""
