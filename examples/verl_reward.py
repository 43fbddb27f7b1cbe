"""A verl reward function with strategies. In verl's config (0.9):

reward.custom_reward_function.path=examples/verl_reward.py
trainer.rollout_data_dir=out/rollouts  trainer.validation_data_dir=out/validation
"""

import re

from stratagem.integrations.verl import labelled


def right(data_source, solution_str, ground_truth, extra_info, **_):
    boxed = re.findall(r"\\boxed\{([^{}]*)\}", solution_str)
    return float(bool(boxed) and boxed[-1].strip() == str(ground_truth))


# `level` is a field of extra_info; `write` keeps every response with its strategy, for `stratagem diagnose`.
compute_score = labelled(right, "math", by=("level",), write="out/strategies")
