"""lighteval's details: details_{task}_{date}.parquet, one row a problem.

Read off lighteval 0.13.0 (logging/info_loggers.py, `DetailsLogger`; models/model_output.py; tasks/requests.py): doc,
model_response, metric. Up to 0.10 the columns were full_prompt, predictions, metrics, …, and in 0.4 to 0.6 each was the
text of a Python value. Where a problem was sampled several times, a metric is of all the samples: only a mean over them
(avg@n, pass@1) says how many were right, and such a problem is read as counts.
"""

from __future__ import annotations

import ast
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
    finish,
    identifier,
    mapping,
    number,
    prompt_text,
    whole,
)

NAME = "lighteval"
TAKEN = {
    "prompt": "what the model was given, else 'doc.query'",
    "response": "'model_response.text' ('predictions' in old tables)",
    "problem": "'doc.id' with the task, else the prompt",
}
_OLD = {"full_prompt", "predictions", "metrics", "cont_tokens"}
# The mean over n samples: avg@n:n=4 and pass@k:k=1&n=4, before 0.11 pass@1:4_samples.
_MEAN = re.compile(r"(?:.*_)?(?:avg@n:(?:.*&)?n=(\d+)|pass@k:k=1&n=(\d+)|pass@1:(\d+)_samples)(?:&.*)?")
_TEXTS = ("full_prompt", "predictions", "cont_tokens", "metrics", "gold", "specifics")
_MAX_TEXT = 2 << 20  # the tree that Python makes of a text is a hundred times its size


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether the columns are those of a table of details, new or old."""
    return set(record) >= {"doc", "model_response", "metric"} or set(record) >= _OLD


def belongs(path: Path) -> bool:
    """False for the averages in a folder of their own."""
    return not (path.name.startswith("results_") and "results" in path.parts)


def facts(path: Path, record: Mapping[str, Any]) -> Mapping[str, str]:
    """The token limit, and the task and metrics, which grade."""
    doc, metrics = mapping(record.get("doc")), mapping(_plain(record.get("metric", record.get("metrics"))))
    stated = {
        "max_tokens": doc.get("generation_size"),
        "grader": ", ".join(sorted(name for name, value in metrics.items() if value is not None)),
    }
    return {name: str(value) for name, value in stated.items() if value not in (None, "")}


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """One response a sample; or counts, where the scores are means of all samples."""
    base, texts, tokens, limit, metrics, extra = _new(record) if "doc" in record else _old(record)
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BadRecord(f"{'model_response.text' if 'doc' in record else 'predictions'}: no generated text")
    scores = {
        name: number(value, f"metric.{name}")
        for name, value in metrics.items()
        if isinstance(value, int | float)
    }
    several = len(texts) > 1
    mean = next((value for name, value in scores.items() if several and _mean_of(name) == len(texts)), None)
    if mean is not None:
        right = mean * len(texts)
        right = round(right) if abs(right - round(right)) < 1e-6 else right
        yield {**base, "count_n": len(texts), "count_c": right, "extra": extra}
        return
    counts = [len(ids) if isinstance(ids, list) and ids else None for ids in tokens]
    for sample, text in enumerate(texts):
        count = counts[sample] if len(counts) == len(texts) else None
        yield {
            **base,
            "completion": text,
            "scores": {} if several else scores,
            "sample": sample if several else None,
            "finish_reason": finish("length" if count >= limit else "stop") if count and limit else None,
            "tokens": count,
            "extra": extra,
        }


_Parts = tuple[Row, Any, Sequence[Any], int | None, Mapping[str, Any], dict[str, Scalar | None]]


def _new(record: Mapping[str, Any]) -> _Parts:
    doc, said = record.get("doc"), record.get("model_response")
    for name, value in (("doc", doc), ("model_response", said), ("metric", record.get("metric"))):
        if not isinstance(value, Mapping):
            raise BadRecord(f"{name}: not an object")
    assert isinstance(doc, Mapping)
    assert isinstance(said, Mapping)
    task, query = _task(doc.get("task_name")), doc.get("query")
    seen, question = prompt_text(said.get("input") or None, "model_response.input")
    doc_id = identifier(doc.get("id"), "doc.id")
    base: Row = {
        "id": None if doc_id in (None, "") else f"{task}/{doc_id}" if task else doc_id,
        "prompt": seen or prompt_text(query, "doc.query")[0],
        "question": question or (query if isinstance(query, str) else None),
    }
    texts, thoughts = said.get("text"), said.get("reasonings")
    if isinstance(texts, list) and isinstance(thoughts, list) and len(thoughts) == len(texts):
        texts = [_with_thought(text, thought) for text, thought in zip(texts, thoughts, strict=True)]
    extra: dict[str, Scalar | None] = {"task": task, "gold": _gold(doc.get("choices"), doc.get("gold_index"))}
    extra |= extras(mapping(doc.get("specific")), (), "specific.")
    limit = whole(doc.get("generation_size"), "doc.generation_size")
    return base, texts, said.get("output_tokens") or [], limit, mapping(record.get("metric")), extra


def _old(record: Mapping[str, Any]) -> _Parts:
    plain = {name: _plain(record.get(name)) for name in _TEXTS}
    prompt, question = prompt_text(plain.get("full_prompt"), "full_prompt")
    asked = record.get("example")
    base: Row = {
        "prompt": prompt,
        "question": question or (asked if isinstance(asked, str) and asked else None),
    }
    texts = plain.get("predictions")
    tokens = plain.get("cont_tokens") or []
    if isinstance(tokens, list) and len(tokens) == 1 and isinstance(texts, list) and len(texts) > 1:
        tokens = tokens[0]
    tokens = [ids[0] if _nested(ids) else ids for ids in tokens] if isinstance(tokens, list) else []
    metrics = plain.get("metrics")
    if not isinstance(metrics, Mapping):
        raise BadRecord("metrics: not an object")
    golds = plain.get("gold")
    gold = golds[0] if isinstance(golds, list) and golds else golds
    extra: dict[str, Scalar | None] = {"gold": gold if isinstance(gold, str | int | float) else None}
    extra |= extras(mapping(plain.get("specifics")), (), "specific.")
    return base, texts, tokens, None, metrics, extra


def _plain(value: Any) -> Any:
    """The value that a text stands for, where it is one of a list or dict of Python; else the text."""
    if isinstance(value, str) and value[:1] in ("[", "{") and len(value) <= _MAX_TEXT:
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    return value


def _mean_of(metric: str) -> int | None:
    """Over how many samples a metric is the mean; None if it is no mean."""
    match = _MEAN.fullmatch(metric) if len(metric) < 200 else None
    return int(next(group for group in match.groups() if group)) if match else None


def _task(name: Any) -> str | None:
    """`math_500` of "lighteval|math_500|0": without the suite and the number of examples in the prompt."""
    if not isinstance(name, str):
        return None
    parts = [part for part in name.split("|") if not part.isdigit()]
    return parts[-1] if parts else None


def _gold(choices: Any, chosen: Any) -> str | None:
    index = chosen[0] if isinstance(chosen, list) and chosen else chosen
    if isinstance(choices, list) and isinstance(index, int) and 0 <= index < len(choices):
        return str(choices[index])
    return None


def _with_thought(text: Any, thought: Any) -> Any:
    if isinstance(text, str) and isinstance(thought, str) and thought and "<think>" not in text:
        return f"<think>\n{thought.strip()}\n</think>\n\n{text}"
    return text


def _nested(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1 and isinstance(value[0], list)
