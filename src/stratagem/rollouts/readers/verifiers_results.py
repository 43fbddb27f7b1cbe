"""verifiers up to 0.3, and prime-rl of that time: results.jsonl, one rollout a line, with metadata.json beside it.

Read off verifiers 0.3.0 (utils/save_utils.py, `state_to_output`) and 0.1.9 (utils/eval_utils.py, `make_dataset`). A
rollout that failed has the reward 0 of a wrong answer; its `error` tells it apart. `stop_condition` is
"max_turns_reached" for every rollout of a single turn, so it does not tell what was cut off: `is_truncated` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from stratagem.rollouts.readers.row import (
    BadRecord,
    ReadOptions,
    Row,
    completion_text,
    extras,
    identifier,
    number,
    prompt_text,
    whole,
)

NAME = "verifiers results"
TAKEN = {
    "prompt": "'prompt'",
    "response": "the model's last message in 'completion'",
    "problem": "'example_id'",
}
_NO_SCORE = {
    *(
        "example_id",
        "prompt",
        "completion",
        "answer",
        "info",
        "reward",
        "error",
        "error_chain",
        "long_error_chain",
    ),
    *(
        "timing",
        "is_completed",
        "is_truncated",
        "stop_condition",
        "metrics",
        "tool_defs",
        "token_usage",
        "task",
    ),
    *("generation_ms", "scoring_ms", "total_ms", "trajectory", "advantage"),
}
_KEPT = {"answer", "info", "task", "stop_condition", "advantage"}
# Metrics that the library's own rubrics add: counts of what was done, which say nothing of right and wrong.
_COUNTS = re.compile(r"num_turns|(.*_)?calls|.*_tokens|.*_(ms|seconds|time)")
_MAX_METADATA = 16 << 20


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether a record is a rollout as `save_outputs` and `make_dataset` write it."""
    timed = isinstance(record.get("timing"), Mapping) or "generation_ms" in record
    return timed and {"example_id", "prompt", "completion", "reward"} <= set(record)


def belongs(path: Path) -> bool:
    """False for the metadata beside the rollouts."""
    return path.name != "metadata.json"


def facts(path: Path, record: Mapping[str, Any]) -> Mapping[str, str]:
    """What metadata.json says: model, environment and sampling."""
    beside = path.parent / "metadata.json"
    try:
        if beside.stat().st_size > _MAX_METADATA:
            return {}
        metadata = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(metadata, Mapping):
        return {}
    sampling = metadata.get("sampling_args")
    sampling = sampling if isinstance(sampling, Mapping) else {}
    said = {
        "model": metadata.get("model"),
        "environment": metadata.get("env_id"),
        "temperature": sampling.get("temperature"),
        "top_p": sampling.get("top_p"),
        "max_tokens": sampling.get("max_tokens", sampling.get("max_completion_tokens")),
    }
    return {name: str(value) for name, value in said.items() if value is not None}


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """The response of one rollout."""
    if (error := record.get("error")) is not None:
        raise BadRecord(f"error: {_kind(error)}")
    if record.get("completion") is None:
        raise BadRecord("completion: missing")
    prompt, question = prompt_text(record.get("prompt"))
    # Metrics are written as columns, those of `metrics` once more; a reward function may be called like any column.
    metrics = record.get("metrics")
    if not isinstance(metrics, Mapping):
        metrics = {
            name: value
            for name, value in record.items()
            if name not in _NO_SCORE and isinstance(value, int | float)
        }
    scores = {"reward": number(record.get("reward"), "reward")}
    counts: dict[str, float | None] = {}
    for name, value in metrics.items():
        into = counts if _COUNTS.fullmatch(name) else scores
        into[f"metrics.{name}" if name == "reward" else name] = number(value, f"metrics.{name}")
    usage = record.get("token_usage")
    tokens = usage.get("output_tokens") if isinstance(usage, Mapping) else None
    turns = _turns(record.get("completion"))
    yield {
        "id": identifier(record.get("example_id"), "example_id"),
        "prompt": prompt,
        "question": question,
        "completion": completion_text(record.get("completion"), options.turns),
        "scores": scores,
        "finish_reason": _finish_reason(record),
        "tokens": whole(tokens, "token_usage.output_tokens") if turns < 2 or options.turns == "all" else None,
        "extra": {**extras(record, {*_NO_SCORE, *metrics} - _KEPT), **counts},
    }


def _turns(completion: Any) -> int:
    """How many turns of the assistant a completion has; 1 where it is text."""
    if not isinstance(completion, list):
        return 1
    return sum(isinstance(message, Mapping) and message.get("role") == "assistant" for message in completion)


def _finish_reason(record: Mapping[str, Any]) -> Literal["stop", "length"] | None:
    if record.get("is_truncated") or record.get("stop_condition") == "timeout_reached":
        return "length"
    return "stop" if record.get("is_truncated") is not None and record.get("is_completed") else None


def _kind(error: Any) -> str:
    """The name of the exception: without its message, so that equal failures count as one."""
    if isinstance(error, Mapping):
        error = error.get("error")
    return str(error).split("(", 1)[0][:80] or "unknown"
