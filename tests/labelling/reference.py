"""Labels by Python's `re`, row by row: the oracle of the rules' tests, and the peer of their benchmark."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from stratagem.labelling.rules import Rule, RuleSet

Mark = tuple[int, int, str]


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    # Rust's $ is the end of the text; Python's also stands before a last newline.
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern), re.ASCII)


def parts(text: str, rules: RuleSet) -> dict[str, tuple[str, int] | None]:
    """Text and start of each part; None for an answer that is not found."""
    for pattern in rules.parts.answer:
        if matches := list(compiled(pattern).finditer(text)):
            last = matches[-1]
            return {
                "all": (text, 0),
                "reasoning": (text[: last.start()], 0),
                "answer": (last[1], last.start(1)),
            }
    return {"all": (text, 0), "reasoning": (text, 0), "answer": None}


def holds(rule: Rule, text: str) -> bool:
    return (
        (not rule.any or any(compiled(p).search(text) for p in rule.any))
        and all(compiled(p).search(text) for p in rule.all)
        and not any(compiled(p).search(text) for p in rule.none)
    )


def label(text: str, rules: RuleSet, finish_reason: str | None = None) -> tuple[str, list[str]]:
    """The strategy and the behaviours."""
    split = parts(text, rules)

    def rule_holds(rule: Rule) -> bool:
        part = split[rule.part]
        return part is not None and holds(rule, part[0])

    behaviours = [rule.name for rule in rules.behaviours if rule_holds(rule)]
    if finish_reason == "length":
        return "truncated", behaviours
    if rules.parts.answer and split["answer"] is None:
        return "unparsed", behaviours
    if any(compiled(p).search(text) for p in rules.parts.unparsed):
        return "unparsed", behaviours
    return next((rule.name for rule in rules.strategies if rule_holds(rule)), "other"), behaviours


def marks(text: str, rules: RuleSet, labels: tuple[str, list[str]]) -> list[Mark]:
    """Where the rules of the labels are first found: leftmost, then by the order of `any`."""
    split = parts(text, rules)
    names = {labels[0], *labels[1]}
    spans: list[Mark] = []
    for rule in rules.strategies + rules.behaviours:
        part = split[rule.part]
        if rule.name not in names or part is None:
            continue
        first: Any = [m for p in rule.any if (m := compiled(p).search(part[0]))]
        chosen = [min(first, key=lambda m: m.start())] if first else []
        chosen += [compiled(p).search(part[0]) for p in rule.all]
        spans += [(part[1] + m.start(), part[1] + m.end(), rule.name) for m in chosen]
    return spans
