"""HELM: scenario_state.json holds the responses of a run, per_instance_stats.json beside it their grades.

Read off crfm-helm (`adaptation/scenario_state.py`, `adaptation/request_state.py`, `metrics/metric.py`,
`common/request.py`): statistics name the instance, the perturbation and the trial that they are of. Of several
completions HELM's exact matches grade the first. A request for one reference of an instance, or for calibration, asks
for a probability, and is no response.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stratagem.records import StratagemError
from stratagem.rollouts.readers import streams
from stratagem.rollouts.readers.row import (
    BadRecord,
    ReadOptions,
    Row,
    finish,
    identifier,
    in_think_marks,
    mapping,
    number,
    prompt_text,
)

NAME = "HELM"
TAKEN = {
    "prompt": "'request.messages', or 'request.prompt'",
    "response": "the first of 'result.completions', which HELM grades",
    "problem": "'instance.id', with the perturbation",
}
STATE, STATS = "scenario_state.json", "per_instance_stats.json"
_BESIDE = {STATS, "stats.json", "run_spec.json", "scenario.json", "instances.json"}
# What HELM measures of a request: how large it was, how long it took, how probable; nothing of right and wrong.
_NO_GRADE = re.compile(
    r"num_.*|.*_tokens|.*runtime.*|inference_.*|training_.*|finish_reason_.*|batch_size|max_prob|logprob|"
    r"logprob_per_byte|bits_per_byte|perplexity|prompt_truncated|estimated_.*|predicted_index|selective_.*"
)


class _State(msgspec.Struct):
    adapter_spec: dict[str, Any]
    request_states: list[dict[str, Any]]


def opens(path: Path, head: bytes) -> bool:
    """Whether a file is the state of a scenario."""
    return (
        head[:64].lstrip().startswith(b"{") and b'"adapter_spec"' in head[:64] and b'"request_states"' in head
    )


def belongs(path: Path) -> bool:
    """False for the files beside the responses."""
    name = path.name
    return not (name in _BESIDE or name.startswith("display_")) or not (path.parent / STATE).is_file()


def records(path: Path) -> Iterator[Mapping[str, Any] | BadRecord]:
    """The requests of a run, each with its statistics by name as `stats` and the adapter's settings as `adapter`.

    Raises:
        StratagemError: there are no grades beside it, or one of the two files cannot be read.
    """
    beside = path.with_name(f"{STATS}.gz" if path.suffix == ".gz" else STATS)
    if not beside.is_file():
        raise StratagemError(f"{path}: its grades are not beside it; copy the run's {STATS} there")
    state = _decoded(path, _State)
    graded: dict[tuple[Any, ...], dict[str, Any]] = {}
    for part in _decoded(beside, list[dict[str, Any]]):
        # Some metrics come in a list of their own, for the same instance.
        graded.setdefault(_key(part.get("instance_id"), part), {}).update(_means(part.get("stats")))
    for request in state.request_states:
        instance = mapping(request.get("instance"))
        stats = graded.get(
            _key(instance.get("id"), {**request, "perturbation": instance.get("perturbation")})
        )
        yield {**request, "stats": stats, "adapter": state.adapter_spec}


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether a record is a request, as `records` gives it."""
    return {"instance", "request", "result", "stats", "adapter"} <= set(record)


def facts(path: Path, record: Mapping[str, Any]) -> Mapping[str, str]:
    """The model and how it was sampled."""
    adapter = mapping(record.get("adapter"))
    said = {name: adapter.get(name) for name in ("model", "temperature", "max_tokens")}
    return {name: str(value) for name, value in said.items() if value not in (None, "")}


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """The response of one request."""
    if record.get("reference_index") is not None or record.get("request_mode") == "calibration":
        raise BadRecord("reference_index: a request for a probability, no response")
    request, result, instance = (mapping(record.get(name)) for name in ("request", "result", "instance"))
    if record.get("stats") is None:
        raise BadRecord(f"instance.id: not in {STATS}")
    completions = result.get("completions")
    if not isinstance(completions, list) or not completions:
        raise BadRecord(f"result: {'failed' if result.get('success') is False else 'no completion'}")
    completion = mapping(completions[0])
    prompt, question = prompt_text(request.get("messages") or request.get("prompt"), "request")
    changed = mapping(instance.get("perturbation")).get("name")
    problem = identifier(instance.get("id"), "instance.id")
    text = completion.get("text")
    if not isinstance(text, str):
        raise BadRecord("result.completions.text: not text")
    thought = mapping(completion.get("thinking")).get("text")
    yield {
        "id": f"{problem}/{changed}" if changed and problem is not None else problem,
        "prompt": prompt,
        "question": question,
        "completion": in_think_marks(thought) + text if isinstance(thought, str) and thought else text,
        "scores": {name: number(value, name) for name, value in mapping(record.get("stats")).items()},
        "finish_reason": finish(mapping(completion.get("finish_reason")).get("reason")),
        "extra": {
            "split": _text(instance.get("split")),
            "perturbation": _text(changed),
            "train_trial": _text(record.get("train_trial_index")),
        },
    }


def _key(instance: Any, part: Mapping[str, Any]) -> tuple[Any, ...]:
    """One instance may be perturbed in several ways, and by one of them with several settings."""
    changed = json.dumps(part.get("perturbation"), sort_keys=True)
    return str(instance), changed, part.get("train_trial_index")


def _means(stats: Any) -> Iterator[tuple[str, Any]]:
    for stat in stats if isinstance(stats, list) else []:
        name = mapping(mapping(stat).get("name")).get("name")
        if isinstance(name, str) and not _NO_GRADE.fullmatch(name):
            yield name, stat.get("mean")


def _decoded(path: Path, kind: Any) -> Any:
    data = streams.all_bytes(streams.chunks(path), str(path))
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StratagemError(f"{path}: not a readable file of HELM ({str(error)[:200]})") from None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
