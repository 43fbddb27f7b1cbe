"""The lens: the study's analysis for anybody's own rollouts."""
