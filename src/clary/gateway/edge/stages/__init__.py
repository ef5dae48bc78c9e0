"""Stages around an invocation, a file each; `base` is the seam."""
