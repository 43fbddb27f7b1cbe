"""The course of strategies' shares under GRPO, forecast from the policy that RL starts from."""
