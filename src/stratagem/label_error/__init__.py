"""How wrong the labels of strategies are, and what that does to a decomposition."""
