"""Labels by Python's `re`, row by row: the oracle of the rules' tests, and the peer of their benchmark."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import polars as pl

from stratagem.labelling.attempts import CALCULATES, CHECKS, ENDS, REMARKS, TURNS
from stratagem.labelling.calculation import outline
from stratagem.labelling.rules import Rule, RuleSet

Mark = tuple[int, int, str]


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    # Rust's $ is the end of the text; Python's also stands before a last newline.
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern), re.ASCII)


BEFORE = r"""(?:^|[\n.!?…:;)\]}—][*_"')\]]*)[\s*_>"'(#-]*"""


def attempts(text: str, turns: tuple[str, ...] = ()) -> list[str]:
    """The attempts of a text, found from left to right."""
    words = "|".join(turns or TURNS)
    if "\ufdd0" in text or "\ufdd1" in text:
        return [text]
    checks = rf"{BEFORE}((?:{words})[\s,.!…-]*(?:[Bb]ut |[Ss]o )?{CHECKS}|{REMARKS})"
    kept = {match.start(1) for match in compiled(checks).finditer(text)}
    cuts: list[int] = []
    at = 0
    while match := compiled(rf"{BEFORE}({words})|({ENDS})").search(text, at):
        place = match.start(1 if match[1] is not None else 2)
        if place in kept:
            # As if a character stood before the word: the search goes on behind its first.
            at = place + 1
            continue
        cuts.append(place)
        at = match.end()
    found: list[str] = []
    start = 0
    for cut in [*cuts, len(text)]:
        if cut == len(text) or compiled(CALCULATES).search(text, start, cut):
            found.append(text[start:cut])
            start = cut
    if len(found) > 1 and not compiled(CALCULATES).search(found[-1]):
        found[-2:] = [found[-2] + found[-1]]
    return found


def outlined(text: str) -> str:
    return outline(pl.Series([text]))[0]


def parts(text: str, rules: RuleSet) -> dict[str, tuple[str, int] | None]:
    """Text and start of each part; None for an answer that is not found."""
    reasoning, answer = text, None
    for pattern in rules.parts.answer:
        if matches := list(compiled(pattern).finditer(text)):
            reasoning, answer = text[: matches[-1].start()], (matches[-1][1], matches[-1].start(1))
            break
    last = attempts(reasoning, rules.parts.turns)[-1]
    return {
        "all": (text, 0),
        "reasoning": (reasoning, 0),
        "answer": answer,
        "last attempt": (last, len(reasoning) - len(last)),
    }


def counts(text: str, rules: RuleSet) -> dict[str, int]:
    """How many attempts, switches between strategies, returns to one."""
    tried = attempts(text, rules.parts.turns)
    ways: list[str] = []
    for attempt in tried:
        of_attempts = (rule for rule in rules.strategies if rule.part == "last attempt")
        way = next((rule.name for rule in of_attempts if holds(rule, attempt, outlined(attempt))), None)
        if way is not None and ways[-1:] != [way]:
            ways.append(way)
    switches = max(0, len(ways) - 1)
    return {"attempts": len(tried), "switches": switches, "returns": len(ways) - len(set(ways))}


def holds(rule: Rule, text: str, calculation: str) -> bool:
    return (
        all(compiled(p).search(calculation) for p in rule.calculation)
        and (not rule.any or any(compiled(p).search(text) for p in rule.any))
        and all(compiled(p).search(text) for p in rule.all)
        and not any(compiled(p).search(text) for p in rule.none)
    )


def label(text: str, rules: RuleSet, finish_reason: str | None = None) -> tuple[str, list[str]]:
    """The strategy and the behaviours."""
    split = parts(text, rules)

    reasoning, last = split["reasoning"], split["last attempt"]
    assert reasoning is not None
    assert last is not None
    calculation = outlined(last[0])
    made = counts(reasoning[0], rules)

    def rule_holds(rule: Rule) -> bool:
        part = split[rule.part]
        enough = all(made[name] >= least for name, least in rule.counts.items())
        return enough and part is not None and holds(rule, part[0], calculation)

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
