"""Records of harnesses whose names say something else than they do elsewhere, as flat records with the usual names.

What a general rule reads (a list of objects under any name, paths into objects) needs nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stratagem.rollouts.readers.row import BadRecord, in_think_marks

Flat = list[dict[str, Any]]
_SAMPLE_OF = re.compile(r"(.+)[-_](\d+)")


@dataclass(frozen=True, slots=True)
class Harness:
    """How one harness writes: whether a record is of it, and the record as flat ones."""

    recognises: Callable[[Mapping[str, Any]], bool]
    flat: Callable[[Mapping[str, Any]], Flat]


def of(records: Sequence[Mapping[str, Any]]) -> str:
    """The name of the harness that wrote the records; empty where it is none of these."""
    return next(
        (
            name
            for name, harness in HARNESSES.items()
            for record in records[:20]
            if harness.recognises(record)
        ),
        "",
    )


def _nemo_gym(record: Mapping[str, Any]) -> Flat:
    asked = record["responses_create_params"]
    response = record.get("response")
    output = response.get("output") if isinstance(response, Mapping) else None
    rest = {name: value for name, value in record.items() if not isinstance(value, Mapping)}
    names = {"_ng_task_index": "task_id", "_ng_rollout_index": "rollout_idx"}
    return [
        {
            **{names.get(name, name): value for name, value in rest.items()},
            "prompt": asked.get("input") if isinstance(asked, Mapping) else None,
            "completion": responses_text(output),
        }
    ]


def responses_text(output: Any) -> str:
    """What a model said last in the output of OpenAI's Responses API, with the reasoning that stands before it."""
    if not isinstance(output, list):
        raise BadRecord("response.output: not a list of items")
    thoughts: list[str] = []
    said = ""
    for item in output:
        if not isinstance(item, Mapping):
            raise BadRecord("response.output: an item is no object")
        if item.get("type") == "reasoning":
            thoughts.append(_parts(item.get("content") or item.get("summary")))
        elif item.get("type") == "message":
            said = _parts(item.get("content"))
            said = in_think_marks("\n\n".join(thoughts)) + said if any(thoughts) else said
        elif str(item.get("type")).endswith(
            "_output"
        ):  # a tool's: what was thought before belongs to an earlier turn
            thoughts = []
    return said


def _parts(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _nemo_rl(record: Mapping[str, Any]) -> Flat:
    """A conversation as texts in turn, the prompt first; batches hold lists of these, and `idx` counts them all."""
    content, rewards = record["content"], record["rewards"]
    batched = bool(content) and isinstance(content[0], list)
    texts = content if batched else [content]
    scores = rewards if isinstance(rewards, list) else [rewards]
    if len(texts) != len(scores):
        raise BadRecord("rewards: not as many as there are conversations")
    rest = {
        name: value
        for name, value in record.items()
        if not isinstance(value, list) and name not in ("idx", "rewards")
    }
    rows: Flat = []
    for said, reward in zip(texts, scores, strict=True):
        if len(said) < 2 or not all(isinstance(text, str) for text in said):
            raise BadRecord("content: not a prompt and what followed it")
        rows.append(
            {
                **rest,
                "prompt": said[0],
                "completion": said[1] if len(said) == 2 else said[-1],
                "reward": reward,
            }
        )
    return rows


def _openai_batch(record: Mapping[str, Any]) -> Flat:
    """The output of a batch. ``custom_id`` is all that tells the problem: PROBLEM-SAMPLE where it ends in a number."""
    body = (record.get("response") or {}).get("body") or {}
    choices = (
        body.get("choices") or [{"message": {"content": responses_text(body["output"])}}] if body else []
    )
    rest = {name: value for name, value in record.items() if name not in ("response", "custom_id", "id")}
    custom = str(record["custom_id"])
    parts = _SAMPLE_OF.fullmatch(custom)
    rest |= {"task_id": parts[1], "sample_idx": int(parts[2])} if parts else {"task_id": custom}
    rows = [
        {**rest, "messages": None, "completion": _reply(choice), "finish_reason": choice.get("finish_reason")}
        for choice in choices
    ]
    return rows or [{**rest, "completion": None}]


def _reply(choice: Mapping[str, Any]) -> Any:
    message = choice.get("message") or {}
    return [{"role": "assistant", **message}] if message.get("content") is not None else None


def _evalplus(record: Mapping[str, Any]) -> Flat:
    rows: Flat = []
    for task, samples in record["eval"].items():
        for sample in samples:
            row = {"task_id": task, "completion": sample.get("solution")}
            for name in ("base_status", "plus_status"):
                if sample.get(name) is not None:
                    row[name.replace("status", "passed")] = sample[name] == "pass"
            if "plus_passed" in row:  # the harness's own verdict: both sets of tests
                row["passed"] = all([row.pop("plus_passed"), row.pop("base_passed", True)])
            rows.append(row)
    return rows


def _is_evalplus(record: Mapping[str, Any]) -> bool:
    tasks = record.get("eval")
    first = next(iter(tasks.values()), None) if isinstance(tasks, Mapping) else None
    return (
        isinstance(first, list)
        and bool(first)
        and isinstance(first[0], Mapping)
        and "base_status" in first[0]
    )


def _rllm(record: Mapping[str, Any]) -> Flat:
    """An episode as one response, that of its last step, which has the turns before it too; right by the episode.

    A trajectory by itself is right by its own reward; a step's reward is a part of that.
    """
    trajectories = record.get("trajectories", [record])
    steps = trajectories[-1].get("steps") if trajectories else None
    if not steps:
        raise BadRecord("steps: none")
    said = steps[-1].get("chat_completions") or []
    first = next((i for i, message in enumerate(said) if message.get("role") == "assistant"), len(said))
    task = record.get("task")
    row: dict[str, Any] = {"task": task if isinstance(task, Mapping) else None}
    row |= {"prompt": said[:first] or None, "completion": said[first:] or steps[-1].get("model_response")}
    if "trajectories" not in record:
        return [{**row, "name": record.get("name"), "reward": record.get("reward")}]
    named, _, rollout = str(record.get("id", "")).rpartition(":")
    number = {"rollout_idx": int(rollout)} if named and rollout.isdecimal() else {}
    source = task.get("data_source") if isinstance(task, Mapping) else None
    return [
        {
            **row,
            "task_id": named or record.get("id"),
            **number,
            "data_source": source,
            "is_correct": record["is_correct"],
        }
    ]


def _is_rllm(record: Mapping[str, Any]) -> bool:
    if isinstance(record.get("trajectories"), list):
        return "is_correct" in record
    steps = record.get("steps")
    first = steps[0] if isinstance(steps, list) and steps else None
    return "reward" in record and isinstance(first, Mapping) and "chat_completions" in first


def _qwen_math(record: Mapping[str, Any]) -> Flat:
    """A row a problem. Of one response each only the names tell `code`, the response, from `answer`, the gold."""
    lists = [record[name] for name in ("code", "pred", "score")]
    if len({len(values) for values in lists}) > 1:
        raise BadRecord("code: not as long as pred and score")
    rest = {name: value for name, value in record.items() if name not in ("code", "pred", "score", "answer")}
    return [
        {**rest, "completion": text, "pred": answer, "score": grade}
        for text, answer, grade in zip(*lists, strict=True)
    ]


def _tau2(record: Mapping[str, Any]) -> Flat:
    """Each simulation: the agent's turns, and the reward of the whole. What a user says is made anew in each."""
    return [
        {
            "task_id": run.get("task_id"),
            "trial": run.get("trial"),
            "completion": run.get("messages"),
            "termination_reason": run.get("termination_reason"),
            "reward": (run.get("reward_info") or {}).get("reward"),
        }
        for run in record["simulations"]
    ]


def _langfuse(record: Mapping[str, Any]) -> Flat:
    rest = {name: value for name, value in record.items() if name not in ("scores", "output", "id")}
    asked, said = record.get("input"), record.get("output")
    if isinstance(asked, Mapping):
        rest["input"] = asked.get("messages", asked.get("content", asked))
    if isinstance(said, Mapping):
        said = [{"role": "assistant", **said}] if said.get("content") is not None else said
    named = {
        f"score.{score['name']}": score.get("value")
        for score in record["scores"]
        if isinstance(score, Mapping)
    }
    return [{**rest, "completion": said, **named}]


def _is_langfuse(record: Mapping[str, Any]) -> bool:
    scores = record.get("scores")
    first = scores[0] if isinstance(scores, list) and scores else None
    return "output" in record and isinstance(first, Mapping) and {"name", "value"} <= set(first)


def _is_nemo_rl(record: Mapping[str, Any]) -> bool:
    content = record.get("content")
    return isinstance(content, list) and bool(content) and "rewards" in record and "token_ids" in record


HARNESSES: dict[str, Harness] = {
    "NeMo Gym": Harness(
        lambda record: "responses_create_params" in record and "response" in record, _nemo_gym
    ),
    "NeMo-RL": Harness(_is_nemo_rl, _nemo_rl),
    "OpenAI batch": Harness(
        lambda record: "custom_id" in record and isinstance(record.get("response"), Mapping | None),
        _openai_batch,
    ),
    "EvalPlus": Harness(_is_evalplus, _evalplus),
    "Langfuse": Harness(_is_langfuse, _langfuse),
    "Qwen2.5-Math's harness": Harness(
        lambda record: (
            "gt" in record and all(isinstance(record.get(name), list) for name in ("code", "pred", "score"))
        ),
        _qwen_math,
    ),
    "rLLM": Harness(_is_rllm, _rllm),
    "tau2-bench": Harness(
        lambda record: isinstance(record.get("simulations"), list) and "tasks" in record, _tau2
    ),
}
