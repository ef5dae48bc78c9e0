"""Families of verbs over declared nouns."""
