"""Reading what a text says: the problem it states and the answer it comes to."""

from __future__ import annotations

import re

# The word "answer" and the symbol that it comes to: through a colon, "is", "the symbol", "last", "guess", "to the
# problem", "the result is", Markdown, \boxed{} or the left side of an equation. Through no other words; an operation
# such as *e3 is no answer, nor is a symbol that one follows, as in "e3 + e5". It reads what `plain` wrote.
ANSWER = re.compile(
    r"""
    \banswer\b
    (?:
        [\s:=,`"'($\\{\[<>→] | \*\* | \#+(?=\s) | -(?=>)
        | (?:is|be|was|would|should|the|symbol|element|last|guess|boxed)\b
        | (?:to|for|of)\s+(?:the|this)\s+(?:[a-z]+\s+)?(?:problem|question|chain)\b
        | (?:(?:final|start|starting|original)\s+)?(?:result|start|state|value)\s+(?:of\s+the\s+chain\s+)?(?=is\b)
        | [a-z][0-9]+(?:[ ]*[-+*/][ ]*[a-z][0-9]+)++\s*=
    )*+
    \b([a-z][0-9]+)\b(?![ ]+[+*/][ ]+[a-z][0-9])
    """,
    re.ASCII | re.VERBOSE,
)
# Of equal length on both sides, as is what `plain` writes for LaTeX, so that places in the plain text are those in the
# original.
_PLAIN = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ₀₁₂₃₄₅₆₇₈₉×·∗÷−–", "abcdefghijklmnopqrstuvwxyz0123456789***/--"
)
_LATEX = re.compile(
    r"(?:\\(?:text|math)[a-z]*\{([a-z])\}?_?|\b([a-z])_)\{?([0-9]+)\b\}{0,2}|\\(times|cdot|div)\b", re.ASCII
)
_LATEX_OPERATORS = {"times": "*", "cdot": "*", "div": "/"}
# A problem as `render` writes it, wherever it stands in a text.
PROMPT = re.compile(
    r"(?:(?:[a-z][0-9]+=[0-9]+ )+; )?\b(?:start|result) [a-z][0-9]+ ; [^;]*? ; (?:evaluate|invert) :",
    re.ASCII,
)


def find_prompt(text: str) -> str:
    """The last problem that a text states, as an LLM's prompt does after its instruction; else the text itself."""
    prompts = PROMPT.findall(text)
    return prompts[-1] if prompts else text


def plain(text: str) -> str:
    """A completion in lower case, with ``+-*/`` for other signs and ``e1`` for LaTeX's ``e_{1}`` and ``\\text{e1}``."""
    text = text.translate(_PLAIN)
    return _LATEX.sub(_of_equal_length, text) if "_" in text or "\\" in text else text


def _of_equal_length(match: re.Match[str]) -> str:
    inside, letter, number, operator = match.groups()
    word = _LATEX_OPERATORS[operator] if operator else (inside or letter) + number
    return word.rjust(len(match[0]))


def last_answer(text: str) -> re.Match[str] | None:
    """The last statement of an answer in a `plain` text, its symbol in group 1: reward and labels both use it."""
    return max(ANSWER.finditer(text), key=lambda match: match.start(), default=None)
