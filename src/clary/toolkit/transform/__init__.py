"""Batch transform's arithmetic on bytes: splitting objects, filtering records, joining answers, blocks."""
