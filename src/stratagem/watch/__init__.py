"""The live page of a run that is under way."""
