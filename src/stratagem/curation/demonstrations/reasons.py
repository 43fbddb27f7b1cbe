"""Which demonstrations may be taken, and why each was taken or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from stratagem.curation.demonstrations import near
from stratagem.curation.demonstrations.choice import Cells, Chosen
from stratagem.curation.demonstrations.diversity import Ints
from stratagem.curation.demonstrations.labels import UNREAD
from stratagem.curation.demonstrations.reading import Demonstrations
from stratagem.curation.demonstrations.settings import Settings
from stratagem.curation.passrates import Floats
from stratagem.curation.profile import Bools

CHOSEN, ENOUGH = "chosen", "enough of its strategy"
HELD_OUT, WRONG, UNREADABLE, REPEAT, NEAR = (
    "held out",
    "wrong",
    "no strategy read",
    "repeat",
    "near-duplicate",
)
WHYS = (CHOSEN, HELD_OUT, WRONG, UNREADABLE, REPEAT, NEAR, ENOUGH)


@dataclass(frozen=True, slots=True)
class Sifted:
    """Of each row why it may not be taken, as its number in `WHYS` (-1: it may);
    and the row that it doubles, or -1."""

    why: Ints
    double: Ints

    @property
    def eligible(self) -> Bools:
        return self.why < 0

    def count(self, why: str) -> int:
        return int((self.why == WHYS.index(why)).sum())


def sift(data: Demonstrations, held_out: Bools, settings: Settings) -> Sifted:
    """Which rows may not be taken. A double is one of an earlier row that may be taken itself."""
    table = data.table
    why = np.full(len(data), -1, np.int64)
    tests = (
        (HELD_OUT, held_out),
        (WRONG, (~table["right"]).fill_null(False).to_numpy()),
        (UNREADABLE, table["strategy"].is_in(UNREAD).to_numpy()),
    )
    for name, there in tests:
        why[(why < 0) & there] = WHYS.index(name)
    double = np.full(len(data), -1, np.int64)
    if settings.duplicates == "keep":
        return Sifted(why, double)
    problem = table["problem"].to_numpy()
    open_rows = np.flatnonzero(why < 0)
    same = near.repeats(problem[open_rows], table["text"].to_numpy()[open_rows])
    again = open_rows[same >= 0]
    why[again], double[again] = WHYS.index(REPEAT), open_rows[same[same >= 0]]
    if data.signed is not None:
        open_rows = np.flatnonzero(why < 0)
        strategy = table["strategy"].rank("dense").to_numpy().astype(np.int64)
        signed = data.signed if len(open_rows) == len(data) else data.signed[open_rows]
        words = table["words"].to_numpy()[open_rows]
        alike = near.doubles(signed, words, problem[open_rows], strategy[open_rows], settings.near)
        again = open_rows[alike >= 0]
        why[again], double[again] = WHYS.index(NEAR), open_rows[alike[alike >= 0]]
    return Sifted(why, double)


def table_of(
    data: Demonstrations,
    cells: Cells,
    names: tuple[str, ...],
    sifted: Sifted,
    chosen: Chosen | None,
    weight: Floats | None,
    evaluations: str,
) -> pl.DataFrame:
    """One row a demonstration, in the set's order. `row` counts from 1.

    Args:
        names: of the strategies.
        evaluations: names of the files of prompts that are held out.
    """
    why = sifted.why.copy()
    taken, control = np.zeros(len(data), bool), np.zeros(len(data), bool)
    if chosen is not None:
        taken[chosen.rows], control[chosen.control] = True, True
        why[taken] = WHYS.index(CHOSEN)
        why[why < 0] = WHYS.index(ENOUGH)
    elif weight is not None:
        why[why < 0] = WHYS.index(CHOSEN)
    home = cells.kind[cells.block] * len(names) + cells.strategy
    usable = sifted.eligible & (cells.strategy >= 0)
    size = int(home[usable].max(initial=0)) + 1
    there, of_them = (
        np.bincount(home[rows], minlength=size)[np.where(usable, home, 0)]
        for rows in (usable, taken & usable)
    )
    rows = data.table.with_columns(
        row=pl.int_range(1, pl.len() + 1),
        problem=pl.col("problem") + 1,
        decision=pl.Series((*WHYS, "")).gather(np.where(why < 0, len(WHYS), why)),
        _there=there,
        _taken=of_them,
        _double=sifted.double + 1,
        control=control,
        weight=np.ones(len(data)) if weight is None else weight,
    )
    decision = pl.col("decision")
    way = "strategy" if rows["kind"].n_unique() == 1 else pl.format("{} on {}", "strategy", "kind")
    of_kind = pl.format("{}: {} of {} taken", way, "_taken", "_there")
    reasons = (
        ({CHOSEN, ENOUGH} if weight is None else set[str](), of_kind),
        ({CHOSEN}, pl.format("{}: one of {}", way, "_there")),
        ({HELD_OUT}, pl.lit(f"also a prompt of {evaluations}")),
        ({WRONG}, pl.lit("its answer or a step is wrong, by its task")),
        ({UNREADABLE}, pl.col("strategy")),
        ({REPEAT}, pl.format("the same as row {}", "_double")),
        ({NEAR}, pl.format("nearly the same as row {}", "_double")),
    )
    reason = pl.lit("")
    for whys, text in reversed(reasons):
        reason = pl.when(decision.is_in(list(whys))).then(text).otherwise(reason)
    columns = [
        "row",
        "problem_id",
        "problem",
        "kind",
        "difficulty",
        "quality",
        "strategy",
        "words",
        "decision",
    ]
    return rows.with_columns(reason=reason).select(*columns, "reason", "control", "weight")
