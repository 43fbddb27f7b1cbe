"""What is asked of a judge about one response, and what of its reply counts as an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from stratagem.judging.rubric import WORDS, Rubric
from stratagem.records import OTHER, UNPARSED

MOST_CHARACTERS = 12_000  # of a prompt and of a response: two thirds from the start, one from the end
MOST_TOKENS = 1_000  # of a reply
MOST_REPLY = 20_000  # characters of a reply that are read, from its end
TEMPERATURE = 0.7  # where there are several votes; a single one has 0
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
# What a server may refuse to take; the question stands without it.
OPTIONAL = ("response_format", "seed", "temperature", "max_tokens")


class Judgement(msgspec.Struct, frozen=True):
    """One vote: the strategy with the words that show it, or why there is none.

    `why` is empty, or ``refused`` (by the server or the model), ``cut off``, ``no JSON``, ``several answers``,
    ``no such strategy`` or ``quotation not found``; then `strategy` is empty.
    """

    strategy: str = ""
    quotation: str = ""
    why: str = ""


def question(
    rubric: Rubric, model: str, prompt: str, completion: str, vote: int, votes: int
) -> dict[str, Any]:
    """The body of a request to ``chat/completions``. The response stands in it as JSON within a message of its own, so
    that nothing in it can end the data or pose as the task."""
    data = {"problem": cut(prompt), "response": cut(completion)}
    names = [*rubric.names, OTHER, UNPARSED]
    schema = {
        "type": "object",
        "properties": {"strategy": {"type": "string", "enum": names}, "quotation": {"type": "string"}},
        "required": ["strategy", "quotation"],
        "additionalProperties": False,
    }
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": rubric.text(vote)},
            {"role": "user", "content": json.dumps(data, ensure_ascii=False)},
        ],
        "temperature": TEMPERATURE if votes > 1 else 0.0,
        "seed": vote,
        "max_tokens": MOST_TOKENS,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "judgement", "schema": schema, "strict": True},
        },
    }


def judgement(reply: dict[str, Any], names: Sequence[str], completion: str) -> Judgement:
    """What a reply of the server says. Whatever is not one clear answer is none.

    Args:
        names: of the rubric.
        completion: the response, in which the quotation has to stand.
    """
    choices: Any = reply.get("choices")
    choice: Any = choices[0] if isinstance(choices, list) and choices else {}  # pyright: ignore[reportUnknownVariableType]
    message: Any = choice.get("message") if isinstance(choice, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(message, dict):
        return Judgement(why="no JSON")
    fields: dict[str, Any] = message  # pyright: ignore[reportUnknownVariableType]
    if fields.get("refusal") or choice.get("finish_reason") == "content_filter":
        return Judgement(why="refused")
    content = fields.get("content")
    answers = _objects(content.rpartition("</think>")[2]) if isinstance(content, str) else []
    if not answers:
        return Judgement(why="cut off" if choice.get("finish_reason") == "length" else "no JSON")
    if any(answer != answers[0] for answer in answers):
        return Judgement(why="several answers")
    strategy, quotation = answers[0].get("strategy"), answers[0].get("quotation")
    if not isinstance(strategy, str) or strategy not in (*names, OTHER, UNPARSED):
        return Judgement(why="no such strategy")
    if strategy in (OTHER, UNPARSED):
        return Judgement(strategy)
    if not isinstance(quotation, str) or place(quotation, completion) is None:
        return Judgement(why="quotation not found")
    return Judgement(strategy, quotation)


def _objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects in a text that name a strategy."""
    text = text[-MOST_REPLY:]
    decoder, at = json.JSONDecoder(), text.find("{")
    named: list[dict[str, Any]] = []
    while at >= 0:
        end = at + 1
        try:
            value, end = decoder.raw_decode(text, at)
            if isinstance(value, dict) and "strategy" in value:
                named.append(value)
        except (ValueError, RecursionError):
            pass
        at = text.find("{", end)
    return named


def place(quotation: str, completion: str) -> tuple[int, int] | None:
    """Where a quotation stands in a response, whatever white space is between its words; None where it does not, or is
    shorter than `WORDS` words of a response that has more."""
    if _words(quotation) < min(WORDS, _words(completion)):
        return None
    parts = quotation.split()
    match = re.search(r"\s+".join(map(re.escape, parts)), completion) if parts else None
    return match.span() if match else None


def _words(text: str) -> int:
    """Words, of code too, where no white space need stand between them; of Chinese and Japanese every character."""
    return len(_WORD.findall(text))


def cut(text: str) -> str:
    """At most `MOST_CHARACTERS`, from both ends."""
    if len(text) <= MOST_CHARACTERS:
        return text
    head = MOST_CHARACTERS * 2 // 3
    return f"{text[:head]} […] {text[head - MOST_CHARACTERS :]}"
