"""verifiers 0.4 and later, and prime-rl: traces.jsonl, one episode a line, each with the traces of its agents.

Read off verifiers 0.4.0 (v1/episode.py, v1/trace.py, v1/graph.py, v1/utils/trace_store.py) and prime-rl's
monitors/file.py. A trace is a graph of messages; its total reward is not written: it is the sum of score times weight.
"""

from __future__ import annotations

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
    message_text,
    messages_of,
    number,
    prompt_text,
    whole,
)

NAME = "verifiers"
TAKEN = {
    "prompt": "the messages before the model's first",
    "response": "the model's last message",
    "problem": "the task's key, else its hash",
}
# `Trace.is_truncated` of the source; its stages' deadlines cut a response short as well, unless it was whole by then.
_CUT = {"max_turns", "max_input_tokens", "max_output_tokens", "max_total_tokens", "compaction_failed"}
_CUT_BY_TIME = {"rollout_timeout", "agent_timeout"}
# Fields of every task that say nothing of the problem, or that the prompt says.
_TASK = {
    "prompt",
    "system_prompt",
    "image",
    "workdir",
    "agent_user",
    "artifact_max_bytes",
    "timeout",
    "resources",
}


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether a record is an episode."""
    return (
        isinstance(record.get("traces"), list) and isinstance(record.get("task"), Mapping) and "ok" in record
    )


def belongs(path: Path) -> bool:
    """False for what prime-rl writes a second time: `effective` holds a part of the episodes of `all`."""
    return path.parent.name != "effective" or not (path.parent.parent / "all" / path.name).exists()


def facts(path: Path, record: Mapping[str, Any]) -> Mapping[str, str]:
    """Model, environment and sampling of the first trace that was sampled for the policy."""
    try:
        trace = next(iter(_scored(record)), {})
    except BadRecord:
        return {}
    config = mapping(mapping(trace.get("agent")).get("config"))
    call = next((call for call in trace.get("calls") or [] if isinstance(call, Mapping)), {})
    sampling = {**mapping(config.get("sampling")), **mapping(call.get("sampling"))}
    stated = {name: sampling.get(name) for name in ("temperature", "top_p", "max_tokens", "reasoning_effort")}
    stated["model"] = call.get("model") or config.get("model")
    stated["environment"] = mapping(record.get("env")).get("id")
    stated["max_turns"] = config.get("max_turns")
    stated["grader"] = ", ".join(sorted(mapping(trace.get("rewards")))) or None
    return {name: str(value) for name, value in stated.items() if value not in (None, "")}


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """One response a trace of the trained agents, or of all agents where none is trained.

    An episode all of whose traces failed is left out by its error. Where only some failed, those have no score.
    """
    traces = _scored(record)
    failures = [_failure(trace) for trace in traces]
    if record.get("errors") and not record.get("ok", True):  # of the environment: what it scored is not whole
        raise BadRecord(f"errors: {_failure(record)}")
    if not traces or all(failures):
        raise BadRecord(f"errors: {failures[0]}" if failures else "traces: none")
    for trace, failure in zip(traces, failures, strict=True):
        yield _row(record, trace, options, failure)


def _scored(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    traces = record.get("traces")
    if not isinstance(traces, list) or not all(isinstance(trace, Mapping) for trace in traces):
        raise BadRecord("traces: not a list of traces")
    trained = [trace for trace in traces if mapping(trace.get("agent")).get("trainable", True)]
    return trained or traces


def _failure(record: Mapping[str, Any]) -> str | None:
    """What ended a trace or an episode with an error; None if nothing did."""
    if record.get("ok", True):
        return None
    errors = record.get("errors") or []
    last = errors[-1] if isinstance(errors, list) and errors else None
    kind = last.get("type") if isinstance(last, Mapping) else None
    return str(kind or record.get("stop_condition") or "not completed")


def _row(
    record: Mapping[str, Any], trace: Mapping[str, Any], options: ReadOptions, failure: str | None
) -> Row:
    nodes = _nodes(trace)
    calls = [call for call in trace.get("calls") or [] if isinstance(call, Mapping)]
    spoken = [number for number, node in enumerate(nodes) if node.get("sampled")]
    if not spoken and not failure:
        raise BadRecord(
            f"nodes: no message of the model ({trace.get('stop_condition') or 'no stop condition'})"
        )
    asked = _path(nodes, spoken[0])[:-1] if spoken else range(len(nodes))
    prompt, question = prompt_text([nodes[n]["message"] for n in asked], "nodes.message")
    read = spoken if options.turns == "all" else spoken[-1:]
    texts = [message_text(nodes[n]["message"], "nodes.message") for n in read]
    if options.turns == "last" and isinstance(trace.get("root_reply"), str):
        texts = [trace["root_reply"]]
    scores = _scores(trace)
    return {
        "id": _problem(record, trace),
        "prompt": prompt,
        "question": question,
        "completion": "\n\n".join(texts),
        "scores": dict.fromkeys(scores) if failure else scores,
        "checkpoint": _checkpoint(record),
        "finish_reason": None if failure else _finish_reason(trace, calls),
        "tokens": _tokens(nodes, calls, read),
        "extra": _extra(record, trace, failure),
    }


def _nodes(trace: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    nodes = trace.get("nodes", [])
    if not isinstance(nodes, list) or not all(isinstance(node, Mapping) for node in nodes):
        raise BadRecord("nodes: not a list of nodes")
    messages_of([node.get("message") for node in nodes], "nodes.message")
    return nodes


def _path(nodes: Sequence[Mapping[str, Any]], leaf: int) -> list[int]:
    """The nodes from the root to `leaf`."""
    path, here = list[int](), leaf
    while here is not None:
        if not isinstance(here, int) or not 0 <= here < len(nodes) or len(path) > len(nodes):
            raise BadRecord("nodes.parent: no node before this one")
        path.append(here)
        here = nodes[here].get("parent")
    return path[::-1]


def _scores(trace: Mapping[str, Any]) -> dict[str, float | None]:
    """The total as `reward`, each reward and each metric. A reward of null was not computed."""
    rewards = trace.get("rewards") or {}
    if not isinstance(rewards, Mapping):
        raise BadRecord("rewards: not an object")
    total: float | None = None
    scores: dict[str, float | None] = {"reward": None}
    for name, reward in rewards.items():
        if reward is not None and not isinstance(reward, Mapping):
            raise BadRecord("rewards: one is not an object of score and weight")
        score = number(reward.get("score"), "rewards.score") if reward else None
        if score is not None:
            weight = number(mapping(reward).get("weight", 1.0), "rewards.weight")
            total = (total or 0.0) + score * (1.0 if weight is None else weight)
        scores["reward." + name if name == "reward" else name] = score
    scores["reward"] = total
    return scores


def _problem(record: Mapping[str, Any], trace: Mapping[str, Any]) -> str | None:
    """The stable key of the task; else the hash of its content, its id or its place in the set."""
    for task in (mapping(trace.get("task")), mapping(record.get("task"))):
        data = mapping(task.get("data"))
        for where, value in (
            ("task.key", task.get("key")),
            ("task.hash", task.get("hash")),
            ("task.data.id", data.get("id")),
            ("task.data.idx", data.get("idx")),
        ):
            if value is not None:
                return identifier(value, where)
    return None


def _checkpoint(record: Mapping[str, Any]) -> str | None:
    return identifier(mapping(mapping(record.get("run")).get("work")).get("step"), "run.work.step")


def _finish_reason(trace: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> Any:
    if trace.get("stop_condition") in _CUT | _CUT_BY_TIME:
        return "length"
    last = next((call for call in reversed(calls) if call.get("error") is None), None)
    return finish(last.get("finish_reason")) if last else None


def _tokens(
    nodes: Sequence[Mapping[str, Any]], calls: Sequence[Mapping[str, Any]], read: Sequence[int]
) -> int | None:
    """How many tokens the model sampled in the nodes that are read; None where it is not known of each."""
    used = {call.get("node"): mapping(call.get("usage")).get("completion_tokens") for call in calls}
    counts: list[int] = []
    for node in read:
        count = whole(used.get(node), "calls.usage.completion_tokens")
        mask = nodes[node].get("mask")
        if count is None and isinstance(mask, list) and mask:
            count = sum(1 for generated in mask if generated)
        if count is None:
            return None
        counts.append(count)
    return sum(counts) if counts else None


def _extra(
    record: Mapping[str, Any], trace: Mapping[str, Any], failure: str | None
) -> dict[str, Scalar | None]:
    data = mapping(mapping(trace.get("task")).get("data"))
    run, work = mapping(record.get("run")), mapping(mapping(record.get("run")).get("work"))
    extra: dict[str, Scalar | None] = {
        "environment": _text(mapping(record.get("env")).get("name") or mapping(record.get("env")).get("id")),
        "agent": _text(mapping(trace.get("agent")).get("name")),
        "group": _text(mapping(record.get("group")).get("id")),
        "work": _text(work.get("type") or run.get("type")),
        "policy": _text(mapping(work.get("policy")).get("start")),
        "stop_condition": _text(trace.get("stop_condition")),
        "error": failure,
    }
    extra |= extras(data, _TASK, "task.")
    extra |= extras(mapping(trace.get("metrics")), (), "metrics.")
    extra |= extras(mapping(trace.get("info")), (), "info.")
    return {name: value for name, value in extra.items() if value is not None}


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int | float) else None
