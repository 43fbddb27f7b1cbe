"""How much of a gain goes with a change in how answers are written, without any names of strategies."""
