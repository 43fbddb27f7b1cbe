"""The result of a study, as types: what `summary.json` holds and `stratagem.reproduce` returns.

`docs/study.schema.json` is made from them. Accuracies and gains are fractions.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from stratagem.decomposition.result import Decomposed
from stratagem.decomposition.splices import Spliced
from stratagem.records import UNDEFINED, Estimate, Real, Result, StratagemError
from stratagem.result import Cell, StratumGain

Verdict = Literal["upheld", "refuted", "undecided"]
Cells = dict[str, dict[str, Estimate]]  # by arm and column: all problems, and each kind


class ArmResult(Result, frozen=True):
    """An arm of the study: what was done to it last (`label`), the arm it started from, and the first one of all."""

    name: str
    stage: Literal["sft", "rl"]
    label: str
    start: str | None
    root: str


class ArmGain(Decomposed, frozen=True, kw_only=True):
    """The gain of an arm over the one that it started from.

    Attributes:
        gap: |selection| - |improvement|.
    """

    gap: Estimate = UNDEFINED
    strata: tuple[StratumGain, ...] = ()
    cells: tuple[Cell, ...] = ()


class Forced(Result, frozen=True):
    """Accuracy where a strategy was forced, how often it was kept to, and how many responses that was."""

    value: Real
    followed: Real
    n: int


class Part(Result, frozen=True, kw_only=True):
    """One inequality of a claim: its quantity with the interval at `level`, above or below a limit."""

    statement: str
    value: Real
    low: Real
    high: Real
    verdict: Verdict
    se: Real = float("nan")
    n: int = 0
    quantity: str = ""
    level: float = 0.95
    above: float | None = None
    below: float | None = None


class ClaimResult(Result, frozen=True, kw_only=True):
    """A claim, how it came out, and the numbers of its first part."""

    id: str
    statement: str
    verdict: Verdict
    difference: Real
    low: Real
    high: Real
    parts: tuple[Part, ...] = ()


class Line(Result, frozen=True):
    """A line of a chart: updates or names of arms, and what was measured there."""

    name: str
    x: tuple[int | str, ...]
    y: tuple[Estimate, ...]


class CurveResult(Result, frozen=True):
    """A chart of the study's file: along ``updates`` a line an arm, along ``arms`` a line an evaluation."""

    title: str
    along: Literal["updates", "arms"]
    lines: tuple[Line, ...]


class PathResult(Result, frozen=True):
    """When an arm of RL selected and when it improved: each term summed up from the first part of its updates to each
    of its parts, which end at these updates, over the responses that it was trained on."""

    arm: str
    updates: tuple[int, ...]
    selection: tuple[Estimate, ...]
    improvement: tuple[Estimate, ...]
    new_strategy: tuple[Estimate, ...]


class Deviation(Result, frozen=True):
    """A setting that is not the reference's."""

    setting: str
    study: Any
    ours: Any
    reason: str


class Asked(Result, frozen=True):
    """The first evaluation: how many held-out problems, samples of each, and at which temperature."""

    problems: int
    samples: int
    temperature: float


class Replicates(Result, frozen=True, kw_only=True):
    """Replicates of a study that were run before and ship with it: when, by which command, from which bases, and pass@1
    of each in the first evaluation, by arm and column."""

    date: str
    command: str
    preset: str
    bases: tuple[str, ...]
    cells: dict[str, dict[str, tuple[Real, ...]]]


class Summary(Result, frozen=True, kw_only=True):
    """A study that has been run.

    Attributes:
        name: as `reproduce` was told; `text` names what the file said.
        columns: of the table: all, and kinds of problem.
        cells: pass@1 of the first evaluation from sampled responses; `greedy` from greedy ones; `others` of other
            evaluations, by name.
        by_replicate: pass@1 of each replicate, where `cells` has the mean.
        shipped: replicates of this study and preset that ship with it.
        forced: by arm, strategy and kind.
        splices: by arm: the split of its gain by experiment.
        losses: by arm: cross-entropy on held-out demonstrations, in nats a token.
        seeds: of the replicates.
        bases: names of the small models that replicates started from, in turn; none where each made its own, or where
            a language model was trained.
        study: numbers of a publication, in percent, by arm and column.
        settings: what the file says of stages, evaluation and probe.
        elapsed_s: seconds of all calls together.
    """

    name: str
    title: str
    answer: str
    task: str
    chance: Real
    columns: tuple[str, ...]
    arms: tuple[ArmResult, ...]
    cells: Cells
    seeds: tuple[int, ...]
    question: str = ""
    about: str = ""
    source: str = ""
    text: str = ""
    preset: str = ""
    bases: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    greedy: Cells = msgspec.field(default_factory=dict)
    others: dict[str, Cells] = msgspec.field(default_factory=dict)
    by_replicate: dict[str, dict[str, tuple[Real, ...]]] = msgspec.field(default_factory=dict)
    shipped: Replicates | None = None
    gains: dict[str, ArmGain] = msgspec.field(default_factory=dict)
    forced: dict[str, dict[str, dict[str, Forced]]] = msgspec.field(default_factory=dict)
    splices: dict[str, Spliced] = msgspec.field(default_factory=dict)
    losses: dict[str, Estimate] = msgspec.field(default_factory=dict)
    claims: tuple[ClaimResult, ...] = ()
    curves: tuple[CurveResult, ...] = ()
    paths: tuple[PathResult, ...] = ()
    study: dict[str, dict[str, Real]] = msgspec.field(default_factory=dict)
    deviations: tuple[Deviation, ...] = ()
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    evaluation: Asked | None = None
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    elapsed_s: Real = float("nan")


class StudyRow(Result, frozen=True, kw_only=True):
    """A study among several.

    Attributes:
        command: runs it, or returns at once.
        report: its page, from the folder of all studies.
        cells, study: ours and a publication's accuracies, as in `Summary`.
    """

    name: str
    title: str
    question: str
    answer: str
    command: str
    report: str
    preset: str
    replicates: int
    elapsed_s: Real
    columns: tuple[str, ...]
    claims: tuple[ClaimResult, ...]
    cells: Cells
    study: dict[str, dict[str, Real]]


class Overview(Result, frozen=True):
    """All studies that ship, as they came out."""

    studies: tuple[StudyRow, ...]


def decode(value: Any, where: str) -> Summary:
    """A summary from what JSON holds.

    Raises:
        StratagemError: it is of another form, as older versions wrote it; `where` names the file.
    """
    try:
        return msgspec.convert(value, Summary)
    except msgspec.ValidationError as error:
        raise StratagemError(
            f"{where}: not a summary of this version ({error}); run the study's command again"
        ) from None
