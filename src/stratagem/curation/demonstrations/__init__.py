"""Demonstrations for SFT chosen by the strategies that they show."""
