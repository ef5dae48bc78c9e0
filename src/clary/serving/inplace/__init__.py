"""Kinds of models that are answered in place, a file each; `base` is the seam."""
