"""What a reader of logs makes: rows, the same for every framework, and the helpers that all readers share."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypedDict

Scalar: TypeAlias = str | int | float | bool
INT32 = 2**31 - 1
SESSION = "_session"  # the column of `Row.session` in a reader's own table
QUESTION = "_question"  # the last messages of users, beside prompts that were lists of messages
# What code for records of one form may raise at a record of another.
FAULTS = (KeyError, TypeError, AttributeError, IndexError, ValueError, RecursionError, OverflowError)
USERS = ("user", "human", "HUMAN")  # the last as OpenCompass writes it
ROLES = (*USERS, "assistant", "system", "developer", "tool", "function")
STORED = r"""^\s*\[\s*\{\s*(["'])"""  # how a text begins that may hold a list of messages
_STOPPED = {"stop", "eos", "end_turn", "stop_sequence", "tool_calls", "tool_use", "completed", "complete"}
_CUT = {
    "length",
    "max_tokens",
    "max_length",
    "model_length",
    "max_new_tokens",
    "truncated",
    "max_output_tokens",
}


class Row(TypedDict, total=False):
    """One response. A key that is absent, or None, is something that the log does not say.

    `id` names the problem, and is the same for all of its samples. `prompt` is all that the model saw, `question` the
    last message of the user where the prompt was a list of messages. `scores` has the numbers that may say what is
    right, `extra` every other value. `tokens` is the length of the completion in tokens. A log of counts alone gives
    `count_n` attempts and `count_c` right ones in place of a completion. Rows that follow one another with the same
    `session` are turns of one response: they become one row, with the last completion or all of them.
    """

    id: str | None
    prompt: str | None
    question: str | None
    completion: str | None
    scores: Mapping[str, float | None]
    sample: int | None
    checkpoint: str | None
    finish_reason: Literal["stop", "length"] | None
    tokens: int | None
    extra: Mapping[str, Scalar | None]
    count_n: int | None
    count_c: float | None
    session: str | None


class BadRecord(Exception):
    """A record that gives no row: "FIELD: what is wrong". It costs that record, or ends the reading if strict.

    Records are counted by this text, so it names the field and the kind of fault, not the value.
    """


@dataclass(frozen=True, slots=True)
class Shape:
    """How the records of a log hold their responses.

    Attributes:
        path: the names that lead to a list of responses; see `unfold`.
        lists: the names of lists, as long as each other, whose places belong together.
        shared: fields that the responses of a record have in common.
        harness: who wrote the records, where `harnesses` knows how to read them.
    """

    path: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    harness: str = ""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a log.

    Args:
        turns: of a response of several turns, read the ``last`` of the assistant or ``all`` of them.
        columns: what a column is called here, for names that are not found by themselves:
            ``{"completion": "response", "score": "acc"}``. A name with dots goes into nested fields.
        strict: refuse a log at its first broken record.
        format: the name of the reader to use in place of the one that recognises the log.
        scores: columns that hold scores, for names that are not found by themselves.
        problem: columns that name a problem together, whatever else might; see `rollouts.problems`.
        bounded: whether grades of a table without responses have to lie in [0, 1].
        shape: how a record holds several responses (set by `plan` too).
        why: why the column of the response is taken for that; `notes` has what else there is to say of the choice.
    """

    turns: Literal["last", "all"] = "last"
    columns: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    format: str | None = None
    scores: tuple[str, ...] = ()
    problem: tuple[str, ...] = ()
    bounded: bool = True
    shape: Shape | None = None
    why: str = ""
    notes: tuple[str, ...] = ()


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object; else an empty one."""
    return value if isinstance(value, Mapping) else {}


def content_text(content: Any, where: str = "content") -> str:
    """The text of a message's content: a string, or a list of parts of which text and reasoning are kept.

    Raises:
        BadRecord: neither of the two.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        content = [content]
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        texts: list[str] = []
        for part in content:
            if isinstance(part, str):
                texts.append(part)
            elif isinstance(part, Mapping):
                text = part.get("text")
                thought = part.get("reasoning") or part.get("thinking")
                if isinstance(thought, str) and part.get("type") in ("reasoning", "thinking"):
                    texts.append(in_think_marks(thought))
                elif isinstance(text, str):
                    texts.append(text)
            elif part is not None:
                raise BadRecord(f"{where}: a part is a {type(part).__name__}, not text")
        return "".join(texts)
    raise BadRecord(f"{where}: {type(content).__name__}, neither text nor a list of parts")


def message_text(message: Mapping[str, Any], where: str = "message") -> str:
    """What one message says: its reasoning in ``<think>`` marks, its content, its calls of tools.

    OpenCompass calls the content of a message `prompt`.
    """
    content = message.get("content", message.get("prompt"))
    if len(message) == 2 and isinstance(content, str):  # the role and this: nearly all messages
        return content
    text = content_text(content, f"{where}.content")
    thought = message.get("reasoning_content") or message.get("reasoning") or message.get("thinking")
    if isinstance(thought, str) and thought and "<think>" not in text:
        text = in_think_marks(thought) + text
    calls = message.get("tool_calls")
    if isinstance(calls, Sequence) and not isinstance(calls, str):
        shown = [_call(call) for call in calls if call]
        text = "\n".join([*([text] if text else []), *shown])
    return text


def in_think_marks(text: str) -> str:
    """Reasoning in the marks that most models put it in."""
    return f"<think>\n{text.strip()}\n</think>\n\n"


def _call(call: Any) -> str:
    if isinstance(call, str):  # verifiers writes each call as JSON
        return f"<tool_call>{call}</tool_call>"
    if not isinstance(call, Mapping):
        raise BadRecord(f"tool_calls: a {type(call).__name__}, not a call")
    function = call.get("function")
    body = function if isinstance(function, Mapping) else call
    arguments = body.get("arguments")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False, default=str)
    name = body.get("name") or (function if isinstance(function, str) else "")
    return f'<tool_call>{{"name": "{name}", "arguments": {arguments}}}</tool_call>'


def messages_of(value: Any, where: str) -> list[Mapping[str, Any]]:
    """A list of messages, checked; a text that holds one is read as the list.

    Raises:
        BadRecord: not a list of objects with a role.
    """
    if isinstance(value, str):
        value = stored_messages(value) or value
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | Sequence) or isinstance(value, str | bytes):
        raise BadRecord(f"{where}: {type(value).__name__}, neither text nor a list of messages")
    for message in value:
        if not isinstance(message, dict | Mapping) or not isinstance(message.get("role"), str):
            raise BadRecord(f"{where}: a list that holds something other than messages with a role")
    return list(value)


def stored_messages(text: str) -> list[Mapping[str, Any]] | None:
    """The messages that a text holds in JSON or as Python writes them, as CSV and tables of texts keep them; None for
    any other text."""
    begun = re.match(STORED, text)
    if begun is None:
        return None
    with (
        warnings.catch_warnings(),
        contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError, BadRecord),
    ):
        warnings.simplefilter("ignore", SyntaxWarning)  # of another text, such as one with LaTeX
        parsed = json.loads(text) if begun[1] == '"' else ast.literal_eval(text)
        messages = messages_of(parsed, "messages")
        # An answer that is JSON itself may have roles too.
        return messages if all(m["role"] in ROLES and "content" in m for m in messages) else None
    return None


def messages_in(value: Any) -> list[Any] | None:
    """A list, or the messages that a text holds; None for anything else."""
    return value if isinstance(value, list) else stored_messages(value) if isinstance(value, str) else None


def prompt_text(value: Any, where: str = "prompt") -> tuple[str | None, str | None]:
    """A prompt as text, and its last message of the user where it was a list of messages, or a text that holds one.

    One message is its text alone; several are written as "role: text" with an empty line between them.

    Raises:
        BadRecord: neither text nor messages, or an empty list.
    """
    if isinstance(value, str):
        value = stored_messages(value) or value
    if value is None or isinstance(value, str):
        return value, None
    if value == []:
        raise BadRecord(f"{where}: an empty list")
    messages = messages_of(value, where)
    texts = [message_text(message, where) for message in messages]
    asked = [text for message, text in zip(messages, texts, strict=True) if message["role"] in USERS]
    question = asked[-1] if asked else None
    if len(messages) == 1:
        return texts[0], question
    return "\n\n".join(
        f"{message['role']}: {text}" for message, text in zip(messages, texts, strict=True)
    ), question


def completion_text(
    value: Any, turns: Literal["last", "all"] = "last", where: str = "completion"
) -> str | None:
    """A completion as text: of several turns the last of the assistant, or all of them with an empty line between.

    What tools and users say is not the model's, and never part of it. A list without a turn of the assistant is "".
    A text that holds such a list is read as the list.

    Raises:
        BadRecord: neither text nor messages.
    """
    if isinstance(value, str):
        stored = stored_messages(value) or []
        value = stored if any(m["role"] == "assistant" for m in stored) else value
    if value is None or isinstance(value, str):
        return value
    spoken = [m for m in messages_of(value, where) if m["role"] == "assistant"]
    if not spoken:
        return ""
    if turns == "last":
        return message_text(spoken[-1], where)
    return "\n\n".join(message_text(message, where) for message in spoken)


def conversation_parts(messages: Any) -> tuple[str | None, str | None, list[Any]]:
    """The parts of a whole conversation: what comes before the assistant's first turn is the prompt, as `prompt_text`
    gives it; the turns from there on.

    Raises:
        BadRecord: no messages, or no turn of the assistant.
    """
    messages = messages_of(messages, "messages")
    first = next((i for i, message in enumerate(messages) if message["role"] == "assistant"), len(messages))
    if first == len(messages):
        raise BadRecord("messages: no turn of the assistant")
    return *prompt_text(messages[:first], "messages"), list(messages[first:])


def scalar_text(value: Any) -> str | None:
    """Text or a number as text; None for anything else."""
    return str(value) if isinstance(value, str | int | float) else None


def identifier(value: Any, where: str = "id") -> str | None:
    """An id as text: 3, 3.0 and "3" are the same.

    Raises:
        BadRecord: neither text nor a number.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    raise BadRecord(f"{where}: {type(value).__name__}, neither text nor a number")


def number(value: Any, where: str) -> float | None:
    """A number as float: booleans are 0 and 1, numbers in text are read, NaN and None are "no score".

    Raises:
        BadRecord: no number, or an infinite one.
    """
    if isinstance(value, str):
        text = value.strip().lower()
        if text in ("true", "false"):
            return float(text == "true")
        try:
            value = float(text)
        except ValueError:
            raise BadRecord(f"{where}: text that is not a number") from None
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise BadRecord(f"{where}: {type(value).__name__}, not a number")
    try:
        as_float = float(value)
    except OverflowError:
        as_float = math.inf
    if math.isinf(as_float):
        raise BadRecord(f"{where}: an infinite or too large number")
    return None if math.isnan(as_float) else as_float


def whole(value: Any, where: str) -> int | None:
    """A whole number that fits 32 bits.

    Raises:
        BadRecord: no such number.
    """
    as_float = number(value, where)
    if as_float is None:
        return None
    if not as_float.is_integer() or abs(as_float) > INT32:
        raise BadRecord(f"{where}: not a whole number of 32 bits")
    return int(as_float)


def finish(value: Any) -> Literal["stop", "length"] | None:
    """Why a response ended, in the words of the rollout table; None where the log's word is not known."""
    if not isinstance(value, str):
        return None
    word = value.strip().lower()
    return "stop" if word in _STOPPED else "length" if word in _CUT else None


def extras(record: Mapping[str, Any], taken: Collection[str] = (), prefix: str = "") -> dict[str, Scalar]:
    """Every scalar of a record but those `taken`; of nested objects those one level down, as "name.field"."""
    return {prefix + name: value for name, value in _scalars(record, taken)}


def _scalars(record: Mapping[str, Any], taken: Collection[str]) -> Iterator[tuple[str, Scalar]]:
    for name, value in record.items():
        if name in taken:
            continue
        if isinstance(value, str | int | float):
            yield name, value
        elif isinstance(value, Mapping):
            for inner, inner_value in value.items():
                if isinstance(inner_value, str | int | float):
                    yield f"{name}.{inner}", inner_value
