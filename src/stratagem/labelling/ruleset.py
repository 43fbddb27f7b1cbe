"""What a file of rules says: strategies, behaviours, and where a response's answer stands. Read and checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import polars as pl

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, StratagemError, content_id
from stratagem.workspace import parse_toml

STARTERS = Path(__file__).parent / "rulesets"
RESERVED = (MIXED, OTHER, UNPARSED, TRUNCATED)
# What a file may hold. Enough for any set that a person can keep in mind; no file makes labelling run away.
MOST_BYTES, MOST_RULES, MOST_PATTERNS, MOST_CHARACTERS = 1_000_000, 64, 300, 2_000
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")

Part = Literal["all", "reasoning", "answer", "last attempt"]
PATTERN_LISTS = ("any", "all", "none", "calculation")
COUNTED = ("attempts", "switches", "returns")
Section = TypeVar("Section", bound=msgspec.Struct)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A strategy or a behaviour by regular expressions.

    It holds for a text in which one of `any` (where there are some), every one of `all` and none of `none` is
    found; `part` says in which part of a response they are looked for. `aliases` are names that it had before,
    `finer` the starter set that tells apart what it holds for (of a rule of `unfit`, the set that is for such
    responses), taken in its place where it has most responses and the user names no rules.

    Every one of `calculation` has to be found in the outline of the last attempt's calculation
    (`labelling.calculation`). A behaviour may ask for so many `attempts` (`labelling.attempts`), for so many
    `switches` from one to another strategy between them, or for so many `returns` to one that an earlier attempt had.
    """

    description: str
    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    calculation: tuple[str, ...] = ()
    attempts: int = 0
    switches: int = 0
    returns: int = 0
    part: Part = "all"
    examples: tuple[str, ...] = ()
    counter_examples: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    finer: str = ""
    name: str = ""

    @property
    def patterns(self) -> tuple[str, ...]:
        return self.any + self.all + self.none + self.calculation

    @property
    def counts(self) -> dict[str, int]:
        """What has to be counted among the attempts, with the least number."""
        return {name: getattr(self, name) for name in COUNTED if getattr(self, name)}


class Parts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the answer stands: the last match of the first pattern of `answer` that matches at all.

    Each has one group around the answer itself. All that stands before the match is the reasoning. A response
    without a match, or with one of `unparsed`, is unparsed. Without `answer` nothing is.

    `turns` are words that begin another attempt in place of those of `labelling.attempts`.
    """

    answer: tuple[str, ...] = ()
    unparsed: tuple[str, ...] = ()
    turns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """How responses are labelled.

    Attributes:
        name: of a starter set, or the file or function as the user gave it.
        strategies: in order of priority; a response has the first one that holds. Empty for a function.
        behaviours: a response has all that hold.
        unfit: kinds of responses that these rules are not for; a description goes on after "65% of the responses", and
            says what to do.
        fingerprint: made of all that decides a label, so that results can say what they rest on.
        function: labels a frame in place of rules.
        source: the text of the file, nothing for a function.
    """

    name: str
    strategies: tuple[Rule, ...]
    behaviours: tuple[Rule, ...]
    parts: Parts
    fingerprint: str
    description: str = ""
    function: Callable[[pl.DataFrame], pl.DataFrame] | None = field(default=None, compare=False)
    source: str = field(default="", compare=False, repr=False)
    unfit: tuple[Rule, ...] = field(default=(), compare=False)


def read_rule_file(path: Path, name: str) -> RuleSet:
    """The rules of a TOML file.

    Raises:
        StratagemError: it cannot be read, or what is wrong in it: file, key and fix.
    """
    try:
        if not path.is_file():
            raise StratagemError(f"{path}: no such file")
        if path.stat().st_size > MOST_BYTES:
            raise StratagemError(f"{path}: larger than {MOST_BYTES // 1_000_000} MB, not a file of rules")
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise StratagemError(f"{path}: not UTF-8 text at byte {error.start}") from None
    except OSError as error:
        raise StratagemError(f"{path}: cannot be read ({error.strerror})") from None
    return replace(rule_set(parse_toml(text, str(path)), name, str(path)), source=text)


def rule_set(document: dict[str, Any], name: str, where: str) -> RuleSet:
    """The rules of a TOML document.

    Args:
        where: what an error names as the file.
    """
    known = ("description", "parts", "strategies", "behaviours", "unfit")
    for key in document:
        if key not in known:
            raise StratagemError(f"{where}: unknown key {key!r}; a file of rules has {', '.join(known)}")
    description = document.get("description", "")
    if not isinstance(description, str):
        raise StratagemError(f"{where}: description: has to be text")
    parts = _convert(document.get("parts", {}), Parts, f"{where}: parts")
    strategies = _rules(document, "strategies", where)
    behaviours = _rules(document, "behaviours", where)
    unfit = _rules(document, "unfit", where)
    if not strategies:
        raise StratagemError(f"{where}: no strategy; add a section [strategies.NAME] with any = ['pattern']")
    twice = {r.name for r in strategies} & {r.name for r in behaviours}
    if twice:
        raise StratagemError(f"{where}: behaviours.{min(twice)}: is the name of a strategy too; rename one")
    taken = [rule.name for rule in strategies + behaviours] + [*RESERVED]
    for rule in strategies:
        for old in rule.aliases:
            if old in taken:
                raise StratagemError(
                    f"{where}: strategies.{rule.name}: alias {old!r} is the name of another; drop it"
                )
            taken.append(old)
    every = strategies + behaviours + unfit
    count = sum(len(rule.patterns) for rule in every) + len(parts.answer + parts.unparsed + parts.turns)
    if count > MOST_PATTERNS:
        raise StratagemError(f"{where}: {count} patterns, at most {MOST_PATTERNS}; join some with |")
    for kind, rules in (("strategies", strategies), ("behaviours", behaviours), ("unfit", unfit)):
        for rule in rules:
            _check_rule(rule, f"{where}: {kind}.{rule.name}", kind, bool(parts.answer))
    for i, pattern in enumerate(parts.answer):
        check_pattern(pattern, f"{where}: parts.answer[{i}]")
        around_answer(pattern, f"{where}: parts.answer[{i}]")
    for key, patterns in (("unparsed", parts.unparsed), ("turns", parts.turns)):
        for i, pattern in enumerate(patterns):
            check_pattern(pattern, f"{where}: parts.{key}[{i}]")
            if key == "turns" and re.search(r"\(\?P?<", pattern):
                raise StratagemError(
                    f"{where}: parts.turns[{i}]: {pattern[:60]!r}: write its groups as (?:…)"
                )
    deciding = msgspec.json.encode(
        [
            {"answer": parts.answer, "unparsed": parts.unparsed}
            | ({"turns": parts.turns} if parts.turns else {}),
            [_deciding(r) for r in strategies],
            [_deciding(r) for r in behaviours],
        ]
    )
    fingerprint = content_id("rules", deciding.decode())
    return RuleSet(name, strategies, behaviours, parts, fingerprint, description, unfit=unfit)


def _deciding(rule: Rule) -> list[Any]:
    newer: list[Any] = [rule.calculation, rule.counts] if rule.calculation or rule.counts else []
    return [rule.name, rule.any, rule.all, rule.none, rule.part, *newer]


def _rules(document: dict[str, Any], kind: str, where: str) -> tuple[Rule, ...]:
    section: Any = document.get(kind, {})
    if not isinstance(section, dict):
        raise StratagemError(f"{where}: {kind}: write each rule as a section [{kind}.NAME]")
    table: dict[str, Any] = section  # pyright: ignore[reportUnknownVariableType]
    if len(table) > MOST_RULES:
        raise StratagemError(f"{where}: {len(table)} {kind}, at most {MOST_RULES}")
    rules: list[Rule] = []
    for name, value in table.items():
        if not NAME.fullmatch(name):
            raise StratagemError(
                f"{where}: {kind}.{name[:60]!r}: a name has letters, digits, _ and -, at most 40, a letter first"
            )
        if name in RESERVED:
            raise StratagemError(f"{where}: {kind}.{name}: the name has a meaning of its own; choose another")
        if isinstance(value, dict) and "name" in value:
            raise StratagemError(
                f"{where}: {kind}.{name}: unknown key 'name'; the section's title is the name"
            )
        rule = _convert(value, Rule, f"{where}: {kind}.{name}")
        rules.append(msgspec.structs.replace(rule, name=name))
    return tuple(rules)


def _convert(value: Any, kind: type[Section], where: str) -> Section:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$")
        place = place.rstrip("`")
        if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", said):
            keys = [name for name in kind.__struct_fields__ if name != "name"]
            raise StratagemError(
                f"{where}: unknown key {unknown[1]!r}; it may have {', '.join(keys)}"
            ) from None
        if missing := re.fullmatch(r"Object missing required field `(.*)`", said):
            raise StratagemError(f"{where}: add the key {missing[1]!r}") from None
        said = (
            said.replace("`array`", "a list ['…']")
            .replace("`str`", "text")
            .replace("`object`", "a section")
            .replace("`int`", "a whole number")
        )
        raise StratagemError(f"{where}{place}: {said[0].lower()}{said[1:]}") from None


def _check_rule(rule: Rule, where: str, kind: str, split: bool) -> None:
    if not rule.patterns and not rule.counts:
        raise StratagemError(f"{where}: no pattern; add any = ['…'], all or none")
    if rule.part in ("reasoning", "answer") and not (split and kind != "unfit"):
        raise StratagemError(
            f"{where}: part = {rule.part!r} needs [parts] with answer = ['…(…)…'] in this file"
        )
    if kind == "unfit" and (rule.part == "last attempt" or rule.calculation):
        raise StratagemError(f"{where}: looks at whole responses; leave out part and calculation")
    for name, least in rule.counts.items():
        if kind != "behaviours":
            raise StratagemError(f"{where}.{name}: is counted for behaviours alone; leave it out")
        if least < 0:
            raise StratagemError(f"{where}.{name}: {least}, has to be 1 or more")
    if rule.finer and not (STARTERS / f"{rule.finer}.toml").is_file():
        raise StratagemError(f"{where}.finer: {rule.finer!r} is no starter set")
    for key in PATTERN_LISTS:
        for i, pattern in enumerate(getattr(rule, key)):
            check_pattern(pattern, f"{where}.{key}[{i}]")


_ANY_TEXT = "\x01" + "".join(map(chr, range(33, 127))) * 30


def check_pattern(pattern: str, where: str) -> None:
    """Refuse what labelling could not run.

    Raises:
        StratagemError: not a regular expression of Rust's regex, or one that is found in every text.
    """
    shown = pattern if len(pattern) <= 60 else pattern[:57] + "…"
    if len(pattern) > MOST_CHARACTERS:
        raise StratagemError(f"{where}: {len(pattern)} characters, at most {MOST_CHARACTERS}")
    try:
        matches = pl.Series(["", _ANY_TEXT]).str.contains(pattern)
    except pl.exceptions.ComputeError as error:
        raise StratagemError(f"{where}: {shown!r}: {_said(str(error))}") from None
    if matches.all():
        raise StratagemError(f"{where}: {shown!r}: is found in every text, the empty one too; make it longer")


def _said(error: str) -> str:
    if "look-around" in error:
        return "look-around (?=…) (?!…) (?<=…) cannot be run; say what must not be there in `none`"
    if "backreference" in error:
        return "backreferences cannot be run; write out what may stand there"
    if "size limit" in error:
        return "too large when compiled; make its counts {…} smaller"
    if reasons := re.findall(r"error: (.+)", error):
        return f"not a regular expression: {reasons[-1]}"
    return f"not a regular expression: {error.splitlines()[0]}"


def around_answer(pattern: str, where: str = "parts.answer") -> str:
    """The pattern of an answer with two groups: what stands before the answer, and the answer.

    Raises:
        StratagemError: it has not one group, or has it inside another or in a choice.
    """
    flags = (re.match(r"\(\?[a-zA-Z-]+\)", pattern) or [""])[0]
    body, depth, start, inside = pattern[len(flags) :], 0, -1, False
    groups = 0
    i = 0
    while i < len(body):
        char = body[i]
        if char == "\\":
            i += 1
        elif inside:
            inside = char != "]"
        elif char == "[":
            inside = True
            # A bracket that stands first belongs to the class.
            i += re.match(r"\[\^?\]?", body[i:]).end() - 1  # type: ignore[union-attr]
        elif char == "(":
            if re.match(r"\((?!\?)|\(\?P?<", body[i:]):
                groups += 1
                if depth == 0:
                    start = i
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "|" and depth == 0:
            start, groups = -1, 1
            break
        i += 1
    if groups != 1 or start < 0:
        raise StratagemError(
            f"{where}: {pattern[:60]!r}: has to have one group (…) around the answer, in no other group or choice; "
            "other groups are written (?:…), other choices as patterns of their own"
        )
    return f"{flags}({body[:start]}){body[start:]}"


def check_examples(rules: RuleSet, labels: Sequence[tuple[str, Sequence[str]]]) -> list[Failure]:
    """The examples that their rules get wrong.

    Args:
        labels: strategy and behaviours of each text of `example_texts`.
    """
    wrong: list[Failure] = []
    for (kind, rule, should, text), (strategy, behaviours) in zip(examples(rules), labels, strict=True):
        has = strategy == rule.name if kind == "strategies" else rule.name in behaviours
        if has != should:
            got = strategy if kind == "strategies" else ", ".join(behaviours) or "none"
            wrong.append(Failure(f"{kind}.{rule.name}", should, text, got))
    return wrong


def examples(rules: RuleSet) -> list[tuple[str, Rule, bool, str]]:
    """Every example and counter-example: kind of rule, rule, whether it should hold, text."""
    return [
        (kind, rule, should, text)
        for kind, members in (("strategies", rules.strategies), ("behaviours", rules.behaviours))
        for rule in members
        for should, texts in ((True, rule.examples), (False, rule.counter_examples))
        for text in texts
    ]


@dataclass(frozen=True, slots=True)
class Failure:
    """An example that a rule gets wrong: `rule` as strategies.NAME, what it should do, the text, the label it got."""

    rule: str
    should_hold: bool
    text: str
    got: str

    def __str__(self) -> str:
        what = "example" if self.should_hold else "counter-example"
        shown = self.text if len(self.text) <= 80 else self.text[:77] + "…"
        return f"{self.rule}: {what} {shown!r} is labelled {self.got}"
