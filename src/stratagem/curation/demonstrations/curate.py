"""Demonstrations for SFT chosen by the strategies that they show: a set in, its profile and a subset out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from stratagem.curation.demonstrations import near
from stratagem.curation.demonstrations.decide import Decision, by_kind, decide
from stratagem.curation.demonstrations.diversity import Ints, effective_number
from stratagem.curation.demonstrations.labels import UNNAMED
from stratagem.curation.demonstrations.notes import notes_of
from stratagem.curation.demonstrations.reading import Reading, read_demonstrations
from stratagem.curation.demonstrations.reasons import HELD_OUT, NEAR, REPEAT, UNREADABLE, WRONG, table_of
from stratagem.curation.demonstrations.result import (
    DemonstrationCuration,
    Dropped,
    KindFacts,
    Missing,
    decode,
)
from stratagem.curation.demonstrations.settings import Settings
from stratagem.curation.demonstrations.summary import Facts
from stratagem.curation.demonstrations.writing import extended
from stratagem.curation.holdout import held_out, read_evaluation, unmatched
from stratagem.curation.pool import sha256
from stratagem.curation.written import write_rows
from stratagem.records import Progress
from stratagem.rollouts.store import write_table
from stratagem.workspace import Stage, check_writable, write_bytes, write_json

STAGE, VERSION = "curate-demonstrations", 2
RESULT, TABLE, ASK = "curation.json", "demonstrations.parquet", "ask.jsonl"
WEIGHT = "weight"


@dataclass(frozen=True)
class Inputs:
    """The set, how it is read, and files with prompts of evaluations."""

    data: str
    reading: Reading
    holdout: tuple[str, ...] = ()


def curate_demonstrations(
    inputs: Inputs, settings: Settings, out: Path | None = None, progress: Progress | None = None
) -> DemonstrationCuration:
    """Say which strategies an SFT set shows, and choose demonstrations that show all of them.

    Args:
        out: the folder for the chosen demonstrations, the random control, the prompts to ask for, a table of all
            demonstrations with reasons, and `curation.json`; nothing is written where it is None. A folder with the
            same settings and inputs is taken as it is.

    Raises:
        StratagemError: an input cannot be read, or nothing is left to choose from.
    """
    if out is not None and not out.exists():
        check_writable(out)
    signing = settings.near < 1 and settings.duplicates == "drop"
    reading = replace(inputs.reading, near=signing and near.available())

    def say(done: int, total: int) -> None:
        if progress is not None:
            progress(f"read {inputs.data}", done, total, {})

    data = read_demonstrations(inputs.data, reading, say)
    evaluations = [read_evaluation(path) for path in inputs.holdout]
    named = [*data.files, *(path for one in evaluations for path in one.files)]
    files = {str(path): sha256(path) for path in dict.fromkeys(named)}
    asked = [data.columns.named[what] for what in ("prompt", "messages") if what in data.columns.named]
    of_evaluations = held_out(data.name, data.rows, asked, data.table, evaluations)
    evaluated = np.any(of_evaluations, axis=0)
    data = replace(data, notes=(*data.notes, *unmatched(data.name, evaluations, of_evaluations)))
    if out is None:
        return _summed(decide(data, evaluated, settings), inputs, settings, files, signing)
    recorded = asdict(settings) | {
        "cover": list(settings.cover),
        "inputs": list(files.values()),
        "labels": [data.labeller.source, data.labeller.fingerprint],
        "by": list(reading.by),
        "difficulty": reading.difficulty,
        "quality": reading.quality,
        "named": dict(reading.named),
        "signed": reading.near,
    }
    stage = Stage(STAGE, VERSION, recorded, out)
    if stage.done:
        return decode((out / RESULT).read_bytes())
    decision = decide(data, evaluated, settings)
    curation = _summed(decision, inputs, settings, files, signing)
    with stage.open() as folder:
        written = _write(decision, settings, folder, ", ".join(inputs.holdout))
        curation = msgspec.structs.replace(curation, files=written)
        write_json(folder / RESULT, curation.as_dict())
    return curation


def _facts(decision: Decision, settings: Settings) -> tuple[Facts, Ints]:
    """What is known of every row and, after them, of every demonstration that was written; and their types."""
    data, cells = decision.data, decision.cells
    number = data.table["difficulty"].cast(pl.Float64, strict=False)
    facts = Facts(
        problem=cells.problem,
        strategy=cells.strategy,
        names=decision.names,
        named=np.array([name not in UNNAMED for name in decision.names], bool),
        words=data.table["words"].to_numpy().astype(float),
        difficulty=number.fill_null(float("nan")).to_numpy(),
        quality=data.table["quality"].fill_null(float("nan")).to_numpy(),
        level=settings.level,
        draws=settings.draws,
        seed=settings.seed,
    )
    rows = decision.write.rows
    written = replace(
        facts,
        problem=facts.problem[rows],
        strategy=decision.write.strategy,
        words=np.array([len(text.split()) for text in decision.texts], float),
        difficulty=facts.difficulty[rows],
        quality=np.full(len(rows), np.nan),
    )
    kind = cells.kind[cells.block]
    return facts.joined(written), np.concatenate([kind, kind[rows]])


def _summed(
    decision: Decision, inputs: Inputs, settings: Settings, files: dict[str, str], signing: bool
) -> DemonstrationCuration:
    data, cells, sifted, chosen = decision.data, decision.cells, decision.sifted, decision.chosen
    facts, kind = _facts(decision, settings)
    everything = np.flatnonzero(sifted.eligible)
    new = np.arange(len(data), len(facts.problem))
    taken = None if chosen is None else np.concatenate([chosen.rows, new])
    control = None if chosen is None else chosen.control

    def of(rows: Ints | None, number: int | None = None):
        return None if rows is None else facts.of(rows if number is None else rows[kind[rows] == number])

    kinds: list[KindFacts] = []
    for number, name in enumerate(decision.kinds if len(decision.kinds) > 1 else ()):
        whole = facts.of(everything[kind[everything] == number])
        if whole.demonstrations:
            kinds.append(
                KindFacts(name=name, everything=whole, chosen=of(taken, number), control=of(control, number))
            )
    weight = decision.weight
    weighted = ess = float("nan")
    if weight is not None:
        of_named = sifted.eligible & facts.named[cells.strategy]
        totals = np.bincount(cells.strategy[of_named], weight[of_named], len(decision.names))
        weighted, ess = (
            float(effective_number(totals.astype(float))),
            float(weight.sum() ** 2 / (weight**2).sum()),
        )
    return DemonstrationCuration(
        data=data.name,
        demonstrations=len(data),
        labels=data.labeller.source,
        near=settings.near if data.signed is not None else float("nan"),
        level=settings.level,
        by=inputs.reading.by or (("kind",) if data.labeller.task is not None else ()),
        cover=tuple(name for name, covered in zip(decision.names, cells.covered, strict=True) if covered),
        everything=facts.of(everything),
        chosen=of(taken),
        control=of(control),
        kinds=tuple(kinds),
        missing=_missing(decision),
        dropped=Dropped(
            held_out=sifted.count(HELD_OUT),
            wrong=sifted.count(WRONG),
            unread=sifted.count(UNREADABLE),
            repeat=sifted.count(REPEAT),
            near_duplicate=sifted.count(NEAR),
            enough=0 if chosen is None else len(everything) - len(chosen.rows),
        ),
        written=len(new),
        shared=0 if chosen is None else len(np.intersect1d(chosen.rows, chosen.control)),
        weighted=weighted,
        ess=ess,
        files={},
        inputs=files,
        notes=(
            *data.notes,
            *notes_of(data, sifted, settings, decision.names, cells, taken, control, signing),
        ),
    )


def _missing(decision: Decision) -> tuple[Missing, ...]:
    cells, kinds = decision.cells, len(decision.kinds)
    there = by_kind(cells, cells.counts(decision.sifted.eligible), kinds)
    asked_for, written = (by_kind(cells, pairs.counts, kinds) for pairs in (decision.ask, decision.write))
    return tuple(
        Missing(
            kind=decision.kinds[kind],
            strategy=decision.names[s],
            demonstrations=int(there[kind, s]),
            share=float(there[kind, s] / there[kind].sum()),
            wanted=int(decision.wanted[kind, s]),
            asked=int(asked_for[kind, s]),
            written=int(written[kind, s]),
        )
        for kind, s in zip(*np.nonzero(decision.wanted), strict=True)
    )


def _write(decision: Decision, settings: Settings, folder: Path, evaluations: str) -> dict[str, str]:
    """Write all files of a curation but `curation.json`; their names, by what they are."""
    data, chosen, weight = decision.data, decision.chosen, decision.weight
    form = settings.form or data.rows.form
    written: dict[str, str] = {}
    if chosen is not None:
        more = replace(data, rows=extended(data.rows, decision.records)) if decision.records else data
        new = np.arange(len(data), len(more.rows))
        written["chosen"] = write_rows(more, np.concatenate([chosen.rows, new]), folder, "chosen", form)
        written["control"] = write_rows(data, chosen.control, folder, "control", form)
        if len(new):
            written["of these, written by the task"] = write_rows(more, new, folder, "written", form)
    if weight is not None:
        rows = np.flatnonzero(decision.sifted.eligible)
        added = {WEIGHT: weight[rows].tolist()}
        written["weighted"] = write_rows(data, rows, folder, "weighted", form, added)
    if len(decision.ask.rows):
        write_bytes(folder / ASK, _asking(decision))
        written["prompts to ask for"] = ASK
    table = table_of(data, decision.cells, decision.names, decision.sifted, chosen, weight, evaluations)
    write_table(folder / TABLE, table)
    return written | {"every demonstration with its reason": TABLE}


def _asking(decision: Decision) -> bytes:
    """A line of JSON for each prompt and the strategy that it is to be answered in."""
    rows, kinds = decision.ask.rows.tolist(), decision.data.table["kind"]
    prompts = decision.data.prompts(rows)
    lines = [
        msgspec.json.encode(
            {"prompt": prompt, "strategy": decision.names[s], "kind": kinds[row], "row": row + 1}
        )
        for row, s, prompt in zip(rows, decision.ask.strategy.tolist(), prompts, strict=True)
    ]
    return b"".join(line + b"\n" for line in lines)
