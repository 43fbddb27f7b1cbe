"""How responses of any origin get strategies: rules and functions."""
