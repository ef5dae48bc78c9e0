"""Formats of training data, requests and answers, a file each: read files, decode bodies, encode answers."""
