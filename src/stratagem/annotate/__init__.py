"""Responses labelled by hand in a browser: what is asked, what was answered, what it tells so far."""
