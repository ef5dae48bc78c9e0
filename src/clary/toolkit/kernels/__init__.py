"""Kernels compiled by numba, each with a way without it (ADR 13).

A file here imports nothing heavy; its compiled half, `_<name>.py`, is imported when it is first called.
What is compiled is kept in a folder of the user's own, so that the next process loads it in milliseconds.
"""
