"""The result of a diagnosis, as types: what `diagnosis.json` holds and `stratagem.diagnose` returns.

`docs/diagnosis.schema.json` is made from them. The parts stand where they are computed: `Estimate` in `records`,
`Account`, `Split` and the like in `decomposition.result`, and so on.
"""

from __future__ import annotations

import inspect
import math
from typing import Any, cast

import msgspec

from stratagem.decomposition.behaviours import BehaviourChange
from stratagem.decomposition.flips import Flips
from stratagem.decomposition.headroom import Headroom
from stratagem.decomposition.path import Path
from stratagem.decomposition.result import Decomposed
from stratagem.decomposition.robustness import Regrouping
from stratagem.decomposition.support import Unsupported
from stratagem.label_error.correction import Corrected
from stratagem.label_error.result import Quality
from stratagem.label_error.sensitivity import Sensitivity
from stratagem.labelling.aliases import renamed
from stratagem.records import UNDEFINED, Estimate, Real, Result, Stratum
from stratagem.verdict.rules import Verdict
from stratagem.visible.result import VisibleShift


class Headrooms(Result, frozen=True):
    """What could still be won on either side; None where a problem has too few responses to say."""

    before: Headroom | None = None
    after: Headroom | None = None


class StrategyChange(Result, frozen=True, kw_only=True):
    """A strategy over all strata: how often it is used and how often it is right there, before and after.

    `selection`, `improvement` and `new_strategy` are what it adds to the gain's terms, `contribution` is their sum.
    """

    strategy: str
    share_before: Estimate
    share_after: Estimate
    accuracy_before: Estimate
    accuracy_after: Estimate
    responses_before: int
    responses_after: int
    selection: Real
    improvement: Real
    new_strategy: Real
    contribution: Real


class StratumGain(Result, frozen=True, kw_only=True):
    """A stratum: its accuracies, its gain and the gain's terms."""

    stratum: Stratum
    problems: int
    accuracy_before: Real
    accuracy_after: Real
    gain: Estimate
    selection: Estimate = UNDEFINED
    improvement: Estimate = UNDEFINED
    new_strategy: Estimate = UNDEFINED


class Cell(Result, frozen=True, kw_only=True):
    """A strategy in a stratum; numbers as in `StrategyChange`, without intervals."""

    stratum: Stratum
    strategy: str
    share_before: Real
    share_after: Real
    accuracy_before: Real
    accuracy_after: Real
    accuracy_forced: Real
    responses_before: int
    responses_after: int
    selection: Real
    improvement: Real
    new_strategy: Real
    contribution: Real


class AttemptsTogether(Result, frozen=True):
    """pass@k with intervals that hold together over all k that are given: of before, of after and of the difference."""

    before: Estimate
    after: Estimate | None = None
    difference: Estimate | None = None


class Attempts(Result, frozen=True):
    """pass@k before and after, and the difference, paired by problem; of a single log `before` alone.

    Attributes:
        together: the same with intervals that hold together over k.
    """

    k: int
    before: Estimate
    after: Estimate | None = None
    difference: Estimate | None = None
    together: AttemptsTogether | None = None


class LabelError(Result, frozen=True):
    """What error of the labels would change, and what hand labels say of it.

    Attributes:
        sensitivity: the smallest errors that change the answer; None where the problems are not the same.
        quality: of the labels, by the hand labels; None without these.
        corrected: the gain without the error; where it cannot be had, `refused` says why.
    """

    sensitivity: Sensitivity | None = None
    quality: Quality | None = None
    corrected: Corrected | None = None
    refused: str | None = None


class Compared(Decomposed, frozen=True, kw_only=True):
    """Two sides compared: the gain with its parts, and all that is said beside them.

    Of logs that hold counts alone, what rests on strategies (`OF_STRATEGIES`) is undefined. `flips` is None where the
    problems are not the same.
    """

    headroom: Headrooms = Headrooms()
    strategies: tuple[StrategyChange, ...] = ()
    strata: tuple[StratumGain, ...] = ()
    cells: tuple[Cell, ...] = ()
    unsupported: tuple[Unsupported, ...] = ()
    behaviours: tuple[BehaviourChange, ...] = ()
    passk: tuple[Attempts, ...] = ()
    flips: Flips | None = None
    label_error: LabelError | None = None
    robustness: tuple[Regrouping, ...] = ()
    verdict: Verdict | None = None


OF_STRATEGIES = (
    *(
        "selection",
        "improvement",
        "new_strategy",
        "by_problem",
        "reverse",
        "symmetric",
        "threefold",
        "new_or_rare",
        "mix",
        "routing",
    ),
    *("simultaneous", "lead", "order_dependent", "strategies", "cells", "robustness"),
    *("unsupported", "unsupported_share"),
)


class Comparison(Compared, frozen=True, kw_only=True):
    """Two sides compared, with their names."""

    before: str
    after: str


class Spread(Result, frozen=True):
    """Fewest, median and most."""

    min: int
    median: float
    max: int


class LeftOut(Result, frozen=True):
    """A record that gave no response: where it stands, and why."""

    file: str
    row: int
    reason: str


class SideFacts(Result, frozen=True, kw_only=True):
    """What was read of a log.

    `samples` are responses a problem; `score` says what is right, `facts` how responses were sampled, `left_out` how
    many records were not used and why.
    """

    name: str
    files: tuple[str, ...]
    format: str
    rows: int
    problems: int
    responses: int
    samples: Spread
    score: str
    facts: dict[str, tuple[str, ...]]
    checkpoints: tuple[str, ...]
    left_out: dict[str, int]
    left_out_examples: tuple[LeftOut, ...]
    length_unit: str


class StrategyName(Result, frozen=True):
    """A strategy that the rules name."""

    name: str
    description: str


class Findings(Compared, frozen=True, kw_only=True):
    """A diagnosis: at its top the last side against the first, then all comparisons and what was read.

    Attributes:
        join: how problems were found to be the same. strategies_from: what named the strategies.
        comparisons: of all sides, two by two; of a log's checkpoints, the last against the first.
        path: from checkpoint to checkpoint, where there are three or more.
        visible_shift: between the first side and the last, where their problems are the same and texts are kept.
    """

    sides: tuple[SideFacts, ...]
    warnings: tuple[str, ...]
    join: str
    strategies_from: str
    strategy_names: tuple[StrategyName, ...]
    behaviour_names: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    path: Path | None
    visible_shift: VisibleShift | None = None


class Groups(Result, frozen=True):
    """The groups that responses were drawn in: the column that names them, how many there are, and their sizes."""

    column: str
    count: int
    samples: Spread


class Unread(Result, frozen=True):
    """A file that holds no rollouts, and why."""

    file: str
    reason: str


class Surveyed(Result, frozen=True, kw_only=True):
    """What a log holds, before anything is made of it.

    Attributes:
        taken: what is taken as prompt, response, grade and problem, each in a sentence.
        problems, samples: None where nothing tells which responses answer one problem.
        scores: by column, the least and the largest number in it. columns: those that hold something, with their types.
        finish_reasons: how many responses ended by each.
        facts: how responses were sampled. repeated: rows that occur again and are read once.
    """

    taken: dict[str, str]
    files: tuple[str, ...]
    format: str
    rows: int
    problems: int | None
    checkpoints: int
    samples: Spread | None
    groups: Groups | None
    scores: dict[str, tuple[float, float]]
    finish_reasons: dict[str, int]
    columns: dict[str, str]
    facts: dict[str, tuple[str, ...]]
    repeated: int
    left_out: dict[str, int]
    left_out_examples: tuple[LeftOut, ...]
    skipped: tuple[Unread, ...]


class AttemptsOfLogs(Result, frozen=True, kw_only=True):
    """pass@k of one log, or of two over their common problems; `left_out` are each log's other problems."""

    logs: tuple[SideFacts, ...]
    problems: int
    left_out: tuple[int, ...]
    passk: tuple[Attempts, ...]
    warnings: tuple[str, ...]


class Run(Result, frozen=True, kw_only=True):
    """One of several runs that are looked at together: the last side of its diagnosis against the first.

    `choice` is selection where the split is by stratum; by problem it has the new strategies in it, which
    `new_strategy` gives by stratum. `level` says in words which it is; `report` is the run's own page, relative to the
    folder of all. Without a problem in common there is no number.
    """

    name: str
    report: str
    before: str
    after: str
    problems: int
    accuracy_before: Real = math.nan
    accuracy_after: Real = math.nan
    gain: Estimate = UNDEFINED
    choice: Estimate = UNDEFINED
    improvement: Estimate = UNDEFINED
    new_strategy: Estimate = UNDEFINED
    level: str = ""
    lead: str = "undecided"
    sentence: str = "Nothing to compare: the logs have no problem in common."
    action: str | None = None
    aim: str = ""


class Runs(Result, frozen=True):
    """Several runs, as `pairs.json` has them."""

    runs: tuple[Run, ...]


def decode(data: bytes) -> Findings:
    """What a `diagnosis.json` says; strategies of starter sets by today's names.

    Raises:
        msgspec.ValidationError: it is no such file; the message names the field.
    """
    findings = msgspec.json.decode(data, type=Findings)
    older = renamed(rule.name for rule in findings.strategy_names)
    if not older:
        return findings
    return msgspec.convert(_with_names(msgspec.json.decode(data), older), Findings)


STRATEGY_FIELDS = ("strategy", "label", "truth")


def _with_names(part: Any, older: dict[str, str], of_strategies: bool = False) -> Any:
    """The same with strategies by today's names, wherever a field holds the name of one by itself."""
    if isinstance(part, list):
        return [_with_names(row, older, of_strategies) for row in cast(list[Any], part)]
    if not isinstance(part, dict):
        return part
    fields = (*STRATEGY_FIELDS, *(("name", "before", "after") if of_strategies else ()))
    return {
        name: older.get(value, value)
        if name in fields and isinstance(value, str)
        else _with_names(value, older, name in ("strategy_names", "transitions"))
        for name, value in cast(dict[str, Any], part).items()
    }


def schema(kind: type[Result] = Findings) -> str:
    """The JSON schema of a result, by default of `diagnosis.json`, as `docs/diagnosis.schema.json` has it."""
    text = msgspec.json.format(msgspec.json.encode(_steady(msgspec.json.schema(kind))), indent=1)
    return f"{text.decode()}\n"


def _steady(part: Any, name: str = "") -> Any:
    """A schema with what differs between versions of msgspec settled: the indentation of descriptions, and the order of
    alternatives."""
    if isinstance(part, list):
        rows = [_steady(row) for row in cast(list[Any], part)]
        return sorted(rows, key=str) if name == "anyOf" else rows
    if isinstance(part, dict):
        return {key: _steady(value, key) for key, value in cast(dict[str, Any], part).items()}
    return inspect.cleandoc(part) if name == "description" else part
