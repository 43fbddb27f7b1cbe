"""lm-evaluation-harness 0.4 with `--log_samples`: samples_{task}_{date}.jsonl, one line a problem and filter.

Read off lm_eval 0.4.13, evaluator.py and loggers/evaluation_tracker.py, `save_results_samples`. Every filter has lines
of its own, with the same responses: a score is called METRIC,FILTER, as in the harness's results, where its filter is
not "none", and the lines of another filter have no value for it. `resps` holds every repeat, but a metric is of what
the filter left: of the first repeat, of a vote, or of all of them. Only a repeat that was scored has a score; that of a
vote is nobody's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stratagem.rollouts.readers.row import (
    BadRecord,
    ReadOptions,
    Row,
    Scalar,
    extras,
    identifier,
    mapping,
    number,
    prompt_text,
    scalar_text,
)

NAME = "lm-evaluation-harness"
TAKEN = {
    "prompt": "'arguments', what was sent",
    "response": "each of 'resps', as long as a metric is its own",
    "problem": "'doc_hash', the content",
}
BESIDE = ("filter",)
_VOTE = re.compile(r"maj|vote|consensus|cons@|consistency", re.IGNORECASE)
_PASS_AT_1 = ("pass@1", "pass_at_1")
_OWN = {
    "doc_id",
    "doc",
    "target",
    "arguments",
    "resps",
    "filtered_resps",
    "filter",
    "metrics",
    "doc_hash",
    "prompt_hash",
    "target_hash",
}
_MAX_RESULTS = 64 << 20


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether a line is a logged sample."""
    return {"doc_id", "doc", "target", "resps", "filtered_resps"} <= set(record)


def belongs(path: Path) -> bool:
    """False for the averages beside the samples."""
    return not (path.name.startswith("results_") and any(path.parent.glob("samples_*")))


def facts(path: Path, record: Mapping[str, Any]) -> Mapping[str, str]:
    """What the request says of sampling, and the results beside it of the model."""
    try:
        sent = _generation(_requests(record)[0])
    except BadRecord:
        sent = {}
    stated: dict[str, Any] = {name: sent.get(name) for name in ("temperature", "top_p", "max_gen_toks")}
    if stated["temperature"] is None and sent.get("do_sample") is False:
        stated["temperature"] = 0.0
    stated["max_tokens"] = stated.pop("max_gen_toks") or sent.get("max_tokens")
    stated["model"] = _results(path).get("model_name")
    stated["grader"] = ", ".join(map(str, record.get("metrics") or []))
    return {name: str(value) for name, value in stated.items() if value not in (None, "")}


def _results(path: Path) -> Mapping[str, Any]:
    """The results of the same run: their name ends with the same date."""
    date = re.search(r"_(\d{4}-\d\d-\d\dT[^_]*)\.jsonl", path.name)
    beside = path.with_name(f"results_{date[1]}.json") if date else path
    try:
        if beside == path or beside.stat().st_size > _MAX_RESULTS:
            return {}
        results = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return results if isinstance(results, Mapping) else {}


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """One response a repeat; or counts, where the score is a mean of all repeats."""
    requests = _requests(record)
    _generation(requests[0])
    responses = _responses(record)
    prompt, question = prompt_text(_messages(requests[0][0]), "arguments")
    scores = {name: number(record[name], name) for name in _metrics(record)}
    extra: dict[str, Scalar | None] = {
        name: scalar_text(record.get(name)) for name in ("filter", "doc_id", "target")
    } | extras(mapping(record.get("doc")), (), "doc.")
    base: Row = {
        "id": identifier(record.get("doc_hash") or record.get("doc_id"), "doc_hash"),
        "prompt": prompt,
        "question": question,
    }
    scored = _scored(record, responses)
    mean = next((scores[name] for name in _PASS_AT_1 if name in scores), None)
    if scored == "all" and mean is not None:
        right = mean * len(responses)
        right = round(right) if abs(right - round(right)) < 1e-6 else right
        yield {**base, "count_n": len(responses), "count_c": right, "extra": extra}
        return
    named = {_named(name, record.get("filter")): value for name, value in scores.items()}
    several = len(responses) > 1
    for sample, response in enumerate(responses):
        own = scored == "each" or (scored == "first" and sample == 0)
        yield {
            **base,
            "completion": response,
            "scores": named if own else {} if scored == "none" else dict.fromkeys(named),
            "sample": sample if several else None,
            "extra": extra,
        }


def _requests(record: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    """What was sent: a list of arguments a request, whichever way they are written."""
    sent = record.get("arguments")
    if isinstance(sent, Mapping):
        sent = [
            list(request.values()) if isinstance(request, Mapping) else request for request in sent.values()
        ]
    if (
        not isinstance(sent, list)
        or not sent
        or not all(isinstance(request, list) and request for request in sent)
    ):
        raise BadRecord("arguments: no requests")
    return sent


def _generation(request: Sequence[Any]) -> Mapping[str, Any]:
    if len(request) < 2 or not isinstance(request[1], Mapping):
        raise BadRecord("arguments: log-likelihoods of given texts, no responses of the model")
    return request[1]


def _messages(sent: Any) -> Any:
    """A prompt is text; with a chat template of a server, messages as JSON in a list of one."""
    if isinstance(sent, list) and len(sent) == 1 and isinstance(sent[0], str):
        try:
            return json.loads(sent[0])
        except ValueError:
            return sent[0]
    return sent


def _responses(record: Mapping[str, Any]) -> list[str]:
    resps = record.get("resps")
    if not isinstance(resps, list):
        raise BadRecord("resps: not a list")
    flat = [text for repeats in resps for text in (repeats if isinstance(repeats, list) else [repeats])]
    if not flat or not all(isinstance(text, str) for text in flat):
        raise BadRecord("resps: not text")
    return flat


def _scored(record: Mapping[str, Any], responses: Sequence[str]) -> str:
    """Which of the responses the metrics are of: ``each`` (there is one), the ``first``, ``all``, or ``none``."""
    if len(responses) == 1:
        return "each"
    filtered = record.get("filtered_resps")
    if not isinstance(filtered, list) or not filtered:
        raise BadRecord("filtered_resps: not a list")
    left = filtered[0] if len(filtered) == 1 else filtered
    while isinstance(left, list) and len(left) == 1:
        left = left[0]
    if isinstance(left, list):
        return "all" if len(left) == len(responses) else "none"
    if _VOTE.search(str(record.get("filter"))):
        return "none"
    # "[invalid]" is what the harness puts where a pattern found nothing.
    return "first" if str(left).strip() in responses[0] or left == "[invalid]" else "none"


def _metrics(record: Mapping[str, Any]) -> list[str]:
    """The names of the metrics that are one number; up to 0.4.5 the harness gave no list of them."""
    named = record.get("metrics", [name for name in record if name not in _OWN])
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise BadRecord("metrics: not a list of names")
    return [name for name in named if isinstance(record.get(name), int | float)]


def _named(metric: str, chosen: Any) -> str:
    return metric if chosen in (None, "none") else f"{metric},{chosen}"
