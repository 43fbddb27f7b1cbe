"""TRL's GRPOTrainer with `log_completions=True`: completions/completions_00005.parquet.

Read off trl 1.16 and 1.10, trainer/grpo_trainer.py, `log`: step, prompt, completion, one column a reward function, one
a name given to `log_extra`, advantage. Prompts and completions are text, or lists of messages. There is no id of the
problem and no total reward, and each file has the last batch before it was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stratagem.rollouts.readers import naming, plain
from stratagem.rollouts.readers.row import ReadOptions

NAME = "trl"
FIRST, LAST = ("step", "prompt", "completion"), "advantage"

rows = plain.rows
frame = plain.frame


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether the columns are those that TRL writes, in its order."""
    names = list(record)
    return tuple(names[:3]) == FIRST and LAST in names[4:]


def plan(records: Sequence[Mapping[str, Any]], options: ReadOptions) -> ReadOptions:
    """What stands between completion and advantage is a reward if it is a number.

    TRL writes rewards as floats, so whole numbers beside them are what `log_extra` got.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {"prompt": "prompt", "completion": "completion", "checkpoint": "step"}
    columns |= {"id": "problem_id"} if "problem_id" in names else {}  # as `integrations.trl` writes it
    columns |= options.columns
    settled = naming.plan(records, replace(options, columns=columns))
    columns.pop("score", None)
    between = [name for name in names if name not in (*FIRST, LAST)]
    rewards = [name for name in between if naming.is_numeric(record.get(name) for record in records)]
    whole = [name for name in rewards if all(type(record.get(name)) is int for record in records)]
    rewards = [name for name in rewards if name not in whole] or rewards
    scores = settled.scores if options.scores or "score" in options.columns else tuple(rewards)
    return replace(settled, columns=columns, scores=scores)
