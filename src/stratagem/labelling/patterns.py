"""Patterns as Rust's regex runs them fast."""

from __future__ import annotations

import re
from functools import lru_cache

import polars as pl

_ASCII: dict[str, str] = {
    "b": r"(?-u:\b)",
    "d": "[0-9]",
    "D": "[^0-9]",
    "w": "[0-9A-Za-z_]",
    "W": "[^0-9A-Za-z_]",
    "s": r"[ \t\n\r\f\v]",
    "S": r"[^ \t\n\r\f\v]",
}
_TOKEN = re.compile(r"\\b\{[a-z-]+\}|\\.|\[\^?\]?|\]|[^\\\[\]]+", re.S)


@lru_cache(maxsize=1024)
def ascii_classes(pattern: str) -> str:
    r"""The pattern with ``\b \d \w \s`` as ASCII, as Python's re.ASCII has them.

    Rust's regex leaves its fast engine where a Unicode word boundary meets a text that is not ASCII.
    """
    parts: list[str] = []
    inside = False
    tokens: list[str] = _TOKEN.findall(pattern)
    for token in tokens:
        if token[0] == "\\":
            plain = _ASCII.get(token[1], token)
            if len(token) > 2:  # such as \b{start}
                plain = f"(?-u:{token})"
            if inside:
                plain = plain[1:-1] if token[1] in "dws" else token
            parts.append(plain)
        else:
            parts.append(token)
            if token[0] == "[":
                inside = True
            elif token == "]":
                inside = False
    return "".join(parts)


_FLAGS = re.compile(r"\(\?[sm]+\)")
_LITERAL = re.compile(r"\\[^\w\s<>]|[^\\.^$|?*+()\[\]{}]", re.ASCII)


def opening(pattern: str) -> str:
    """What every match of a pattern begins with, letter by letter; empty where that is not plain to see.

    Args:
        pattern: has no choice outside its groups.
    """
    flags = _FLAGS.match(pattern)
    at = flags.end() if flags else 0
    letters: list[str] = []
    while letter := _LITERAL.match(pattern, at):
        letters.append(letter[0][-1])
        at = letter.end()
    if pattern[at : at + 1] in ("?", "*", "+", "{"):
        letters = letters[:-1]
    return "" if pattern[at : at + 1] == "|" else "".join(letters)


@lru_cache(maxsize=1024)
def merged(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The patterns as one, which is faster; as they are where that cannot be compiled (names twice, too large)."""
    patterns = tuple(map(ascii_classes, patterns))
    if len(patterns) < 2:
        return patterns
    whole = "|".join(f"(?:{pattern})" for pattern in patterns)
    try:
        pl.Series([""]).str.contains(whole)
    except pl.exceptions.ComputeError:
        return patterns
    return (whole,)
