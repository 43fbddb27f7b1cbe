"""Logs in, diagnosis out: read, label, join, compare."""
