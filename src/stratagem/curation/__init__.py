"""Data for training chosen by what rollouts say of it: which prompts have signal left for RL."""
