"""SkyRL's `trainer.dump_eval_results`: dumped_evals/global_step_N_evals/{data_source}.jsonl.

Read off SkyRL at 2026-08-21, skyrl/train/utils/trainer_utils.py, `dump_per_dataset_eval_results`, and
train/generators/utils.py, `get_metrics_from_generator_output`. Prompts and responses are decoded with their special
tokens; a response of several turns holds what tools and users said as well. A score may be a list, one number a token:
the response's is their sum, as in SkyRL's own mean. There is no id of the problem: the prompt is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from stratagem.rollouts.readers.row import BadRecord, ReadOptions, Row, extras, finish, mapping, number

NAME = "SkyRL"
TAKEN = {
    "prompt": "'input_prompt'",
    "response": "the model's last turn in 'output_response'",
    "problem": "the prompt",
}
_OWN = {"input_prompt", "output_response", "score", "stop_reason", "env_class", "env_extras", "data_source"}
# By its generators for agents. What failed or timed out stands there with one made-up token as its response.
_CUT, _FAILED = {"context_length"}, ("error", "agent_timeout")
# The two ways of writing turns that most models have: ChatML, and Llama 3's.
_TURN = re.compile(r"<\|im_start\|>(\w+)\n|<\|start_header_id\|>(\w+)<\|end_header_id\|>\n+")
_END = re.compile(r"(?:<\|[^|<>\s]{1,40}\|>|</s>|<end_of_turn>|<｜end▁of▁sentence｜>)\Z")


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether the columns are those that SkyRL writes."""
    return set(record) >= _OWN


def belongs(path: Path) -> bool:
    """False for the averages beside the rollouts."""
    return path.name != "aggregated_results.jsonl"


def facts(path: Path, record: Mapping[str, Any]) -> Mapping[str, str]:
    """The environment, which is what grades."""
    return {"grader": record["env_class"]} if isinstance(record.get("env_class"), str) else {}


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """The response of one record."""
    prompt, response, why = (record.get(name) for name in ("input_prompt", "output_response", "stop_reason"))
    if not isinstance(prompt, str):
        raise BadRecord("input_prompt: not text")
    if not isinstance(response, str):
        raise BadRecord("output_response: not text")
    if why in _FAILED:
        raise BadRecord(f"stop_reason: {why}")
    asked = [text for role, text in _turns(prompt, "system") if role == "user"]
    spoken = [text for role, text in _turns(response, "assistant") if role == "assistant"]
    yield {
        "prompt": prompt,
        "question": asked[-1] if asked else None,
        "completion": "\n\n".join(spoken if options.turns == "all" else spoken[-1:]),
        "scores": {"score": _score(record.get("score"))},
        "finish_reason": _finish_reason(why),
        "extra": extras(record, _OWN - {"env_class", "env_extras", "data_source", "stop_reason"})
        | extras(mapping(record.get("env_extras")), (), "env_extras."),
    }


def _turns(text: str, role: str) -> list[tuple[str, str]]:
    """Who says what; what stands before the first mark of a turn is said by `role`."""
    turns: list[tuple[str, str]] = []
    start = 0
    for mark in _TURN.finditer(text):
        if text[start : mark.start()].strip():
            turns.append((role, _ended(text[start : mark.start()])))
        role, start = mark[1] or mark[2], mark.end()
    if text[start:].strip() or not turns:
        turns.append((role, _ended(text[start:])))
    return turns


def _ended(text: str) -> str:
    """Without the marks at its end that end a turn or a text."""
    end = seen = len(text)
    while True:
        while seen and text[seen - 1].isspace():
            seen -= 1
        mark = _END.search(text, max(seen - 48, 0), seen)
        if not mark:
            return text[:end]
        end = seen = mark.start()


def _score(value: Any) -> float | None:
    if not isinstance(value, list):
        return number(value, "score")
    token_scores = [number(token_score, "score") for token_score in value]
    if not token_scores or None in token_scores:
        raise BadRecord("score: a list with no number for a token")
    return sum(token_score for token_score in token_scores if token_score is not None)


def _finish_reason(why: Any) -> Literal["stop", "length"] | None:
    return "length" if why in _CUT else finish(why)
