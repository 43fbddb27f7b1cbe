"""Forms of records that logs have, each with how one is written, what a plain reader finds in it, and what goes wrong.

The plain reader shares no code with the package. It says in the shortest words what docs/lens.md says of each form.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.rollouts.reference import clean, number


class Row(NamedTuple):
    """A response: the problem's id and prompt, and its score (of counts: the share that is right)."""

    id: str | None
    prompt: str | None
    score: float | None

    @property
    def problem(self) -> tuple[str, str | None]:
        return ("prompt", self.prompt) if self.id is None else ("id", self.id)


@dataclass(frozen=True)
class Found:
    """What a plain reader finds in a log: its rows, and how many records give none."""

    rows: list[Row]
    bad: int


@dataclass(frozen=True)
class Form:
    """`write` makes a record of the responses to a problem, `rows` reads one; wrong ones raise AssertionError.

    `fields` are those in which something goes wrong. A form that is not `graded` holds counts in place of scores.
    """

    write: Callable[[int, random.Random], Any]
    rows: Callable[[dict[str, Any]], list[Row | None]]
    fields: tuple[str, ...]
    graded: bool = True


def find(records: list[Any], form: Form) -> Found:
    """What a plain reader finds in records, of which None is a line that is no JSON."""
    rows: list[Row] = []
    bad = 0
    for record in records:
        try:
            assert isinstance(record, dict)
            found = form.rows(record)
        except (AssertionError, ValueError):
            bad += 1
            continue
        for row in found:
            if row is None:
                bad += 1
            else:
                rows.append(row)
    return Found(rows, bad)


def _text(i: int, rng: random.Random) -> str:
    return rng.choice([f"So it is {i}.\n\n{i}", "“Zwei” 😀", f"\\boxed{{{i}}} \\", f"a\tb\u2028{i}"]) + str(
        rng.random()
    )


def _score(rng: random.Random) -> Any:
    return rng.choice([0, 1, 0.0, 1.0, True, False, None])


def _identity(value: Any) -> str | None:
    assert value is None or isinstance(value, str | int | float)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else clean(str(value))


def _content(value: Any) -> str:
    """The text of a message's content: text, or parts of which those of text count."""
    if value is None or isinstance(value, str):
        return value or ""
    parts = [value] if isinstance(value, dict) else value
    assert isinstance(parts, list)
    assert all(part is None or isinstance(part, str | dict) for part in parts)
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return "".join(text for text in texts if isinstance(text, str))


def _messages(value: Any) -> list[tuple[str, str]]:
    """Roles and texts of messages."""
    messages = [value] if isinstance(value, dict) else value
    assert isinstance(messages, list)
    assert all(isinstance(message, dict) and isinstance(message.get("role"), str) for message in messages)
    return [(m["role"], m.get("content", m.get("prompt"))) for m in messages]


def _prompt(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else clean(value)
    said = [(role, _content(content)) for role, content in _messages(value)]
    assert said
    return clean(said[0][1] if len(said) == 1 else "\n\n".join(f"{role}: {text}" for role, text in said))


def _completion(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    turns = [content for role, content in _messages(value) if role == "assistant"]
    return _content(turns[-1]) if turns else ""


def _response(record: dict[str, Any], prompt: str, completion: str, score: str) -> Row:
    """One response: it needs a problem, and a text or, as after a time-out, a score."""
    assert completion in record
    identity, asked = _identity(record.get("problem_id")), _prompt(record.get(prompt))
    said, grade = _completion(record[completion]), number(record.get(score))
    assert said is not None or grade is not None
    assert identity is not None or asked is not None
    return Row(identity, asked, grade)


def _or_none(make: Callable[[], Row]) -> Row | None:
    try:
        return make()
    except (AssertionError, ValueError):
        return None


def flat(i: int, rng: random.Random) -> dict[str, Any]:
    made = {"problem_id": f"p{i // 3}", "prompt": f"What is {i // 3} plus 1? é"}
    return made | {"completion": _text(i, rng), "score": _score(rng), "level": rng.randrange(3)}


def bare(i: int, rng: random.Random) -> dict[str, Any]:
    return {"prompt": f"What is {i // 3} plus 1?", "completion": _text(i, rng), "score": _score(rng)}


def chat(i: int, rng: random.Random) -> dict[str, Any]:
    asked = [{"role": "user", "content": f"What is {i // 3} plus 1?"}]
    if i % 2:
        asked = [{"role": "system", "content": "Think."}, *asked]
    said = [{"role": "assistant", "content": _text(i, rng)}]
    if rng.random() < 0.2:
        said = [*said, {"role": "tool", "content": "7"}, {"role": "assistant", "content": "So 7."}]
    return {"prompt": asked, "completion": said, "score": _score(rng)}


def conversation(i: int, rng: random.Random) -> dict[str, Any]:
    made = chat(i, rng)
    return {"messages": made["prompt"] + made["completion"], "score": made["score"]}


def conversation_rows(record: dict[str, Any]) -> list[Row | None]:
    said = _messages(record.get("messages"))
    first = next((place for place, (role, _) in enumerate(said) if role == "assistant"), None)
    assert first
    said = [(role, _content(content)) for role, content in said[:first]]
    [_content(content) for role, content in _messages(record["messages"])[first:] if role == "assistant"][-1]
    prompt = said[0][1] if len(said) == 1 else "\n\n".join(f"{role}: {text}" for role, text in said)
    return [Row(None, clean(prompt), number(record.get("score")))]


def group(i: int, rng: random.Random) -> dict[str, Any]:
    size = rng.randrange(1, 5)
    made = {"prompt": f"What is {i} plus 1?", "responses": [_text(i, rng) for _ in range(size)]}
    return made | {"scores": [_score(rng) for _ in range(size)]}


def group_rows(record: dict[str, Any]) -> list[Row | None]:
    said, scores = record.get("responses"), record.get("scores")
    if not isinstance(said, list):
        return [_response(record, "prompt", "responses", "scores")]
    assert said
    assert scores is None or (isinstance(scores, list) and len(scores) == len(said))
    items = [
        record | {"responses": text, "scores": s}
        for text, s in zip(said, scores or [None] * len(said), strict=True)
    ]
    return [_or_none(lambda item=item: _response(item, "prompt", "responses", "scores")) for item in items]


def nested(i: int, rng: random.Random) -> dict[str, Any]:
    rollouts = [{"text": _text(i, rng), "correct": _score(rng)} for _ in range(rng.randrange(1, 5))]
    return {"question": f"What is {i} plus 1?", "rollouts": rollouts}


def nested_rows(record: dict[str, Any]) -> list[Row | None]:
    rollouts = record.get("rollouts")
    items = [rollouts] if isinstance(rollouts, dict) else rollouts
    assert isinstance(items, list)
    assert items
    assert all(isinstance(item, dict) for item in items)
    whole = [{name: value for name, value in record.items() if name != "rollouts"} | item for item in items]
    return [_or_none(lambda item=item: _response(item, "question", "text", "correct")) for item in whole]


def counted(i: int, rng: random.Random) -> dict[str, Any]:
    n = rng.randrange(1, 9)
    return {"id": f"p{i}", "n": n, "c": rng.randrange(n + 1)}


def _whole(value: Any) -> int:
    as_float = number(value)
    assert as_float is not None
    assert as_float.is_integer()
    assert abs(as_float) < 2**31
    return int(as_float)


def counted_rows(record: dict[str, Any]) -> list[Row | None]:
    n, c = _whole(record.get("n")), number(record.get("c"))
    assert c is not None
    assert 0 <= c <= n
    identity = _identity(record.get("id"))
    assert identity is not None
    return [Row(identity, None, c / n if n else None)]


def rewarded(i: int, rng: random.Random) -> dict[str, Any]:
    return {"id": f"p{i}", "rewards": [rng.choice([0, 1, 0.5, True]) for _ in range(rng.randrange(1, 9))]}


def rewarded_rows(record: dict[str, Any]) -> list[Row | None]:
    rewards = record.get("rewards")
    assert isinstance(rewards, list)
    grades = [number(reward) for reward in rewards]
    assert all(grade is not None and 0 <= grade <= 1 for grade in grades)
    identity = _identity(record.get("id"))
    assert identity is not None
    return [Row(identity, None, sum(grade or 0 for grade in grades) / len(grades) if grades else None)]


def flat_rows(record: dict[str, Any]) -> list[Row | None]:
    """One response, or several in a list of texts, each with its score where these are a list too."""
    said, scores = record.get("completion"), record.get("score")
    if not isinstance(said, list) or not all(isinstance(text, str) for text in said):
        return [_response(record, "prompt", "completion", "score")]
    assert said
    assert not isinstance(scores, list) or len(scores) == len(said)
    each = scores if isinstance(scores, list) else [scores] * len(said)
    items = [record | {"completion": text, "score": s} for text, s in zip(said, each, strict=True)]
    return [_or_none(lambda item=item: _response(item, "prompt", "completion", "score")) for item in items]


FLAT = Form(
    flat,
    flat_rows,
    ("problem_id", "prompt", "completion", "score", "level"),
)
FORMS: dict[str, Form] = {
    "flat": FLAT,
    "prompt-completion": Form(bare, FLAT.rows, ("prompt", "completion", "score")),
    "chat": Form(chat, FLAT.rows, ("prompt", "completion", "score")),
    "messages": Form(conversation, conversation_rows, ("messages", "score")),
    "groups": Form(group, group_rows, ("prompt", "responses", "scores")),
    "nested": Form(nested, nested_rows, ("question", "rollouts")),
    "counts": Form(counted, counted_rows, ("id", "n", "c"), graded=False),
    "rewards": Form(rewarded, rewarded_rows, ("id", "rewards"), graded=False),
}

DEEP: Any = json.loads("[" * 300 + "]" * 300)
ODD: list[Any] = [
    *(float("nan"), float("inf"), float("-inf"), 10**400, -(10**30), 2**31, 2**63, 2**64, -0.0, 1.5, None, True),
    *("true", "1", "abc", "", " 1 ", "0x1", "1_0", "nan", "inf", "\u0000", "\ud800", "😀" * 50, "x" * 5_000, "a\nb"),
    *([], {}, ["a", "b"], [1], [None], [{"role": 5}], {"role": "user"}, {"a": {"b": [1]}}, DEEP),
]  # fmt: skip
NAMES = ["", "\t", '"', "\ud800", "a.b", "x" * 500, "\u202e", "<b>", "{0}", "note"]


def changed(record: dict[str, Any], fields: tuple[str, ...], rng: random.Random) -> Any:
    """A record in which something has gone wrong."""
    made = dict(record)
    field = rng.choice(fields)
    held = made.get(field)
    match rng.randrange(9):
        case 0:
            made.pop(field, None)
        case 1:
            made[f"was {field}"] = made.pop(field, None)
        case 2:
            made[rng.choice(NAMES)] = rng.choice(ODD)
        case 3:
            return rng.choice([[made], json.dumps(made), None, 5, [], {}, True])
        case 4:
            made = dict(reversed(made.items()))
        case 5 | 6 if isinstance(held, list) and held:  # inside a list: an item, or a field of one
            items = list(held)
            place = rng.randrange(len(items))
            if isinstance(items[place], dict) and rng.random() < 0.7:
                items[place] = items[place] | {rng.choice(list(items[place])): rng.choice(ODD)}
            else:
                items[place : place + 1] = rng.choice([[], [rng.choice(ODD)], [items[place]] * 2])
            made[field] = items
        case _:
            made[field] = rng.choice(ODD)
    return made
