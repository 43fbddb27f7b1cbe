"""From the numbers of a comparison to a sentence and the next action."""
