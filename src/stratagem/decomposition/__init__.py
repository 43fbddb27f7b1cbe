"""The gain between two checkpoints: the choice of strategies, their execution, or both."""
