"""Prompts for RL chosen by the rollouts of the model that is to be trained: logs in, a subset out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from stratagem.curation.choose import Chosen, Wanted, choose
from stratagem.curation.holdout import Evaluation, held_out, read_evaluation, unmatched
from stratagem.curation.pool import Pool, read_pool, sha256
from stratagem.curation.profile import Frontier, Ints, Matched, Profile, match, profile
from stratagem.curation.reasons import Decided, decided
from stratagem.curation.result import Curation, LogFacts, decode
from stratagem.curation.settings import Settings
from stratagem.curation.strata import strata_of, target_shares
from stratagem.curation.summary import summary
from stratagem.curation.tally import Reward, Tally, tally
from stratagem.curation.written import write_rows
from stratagem.records import StratagemError
from stratagem.rollouts.store import write_table
from stratagem.workspace import Stage, check_writable, write_json

STAGE, VERSION = "curate-prompts", 3
RESULT, TABLE = "curation.json", "prompts.parquet"
WEIGHT = "weight"
Progress = Callable[[str, int, int, dict[str, Any]], None]


@dataclass(frozen=True)
class Inputs:
    """Files: the pool, logs before training and after it, prompts of evaluations; how the logs are read.

    `named` says which columns of the pool hold ``id`` and ``prompt``, where their names do not.
    """

    pool: str
    rollouts: tuple[tuple[str, ...], ...]
    again: tuple[tuple[str, ...], ...] = ()
    holdout: tuple[str, ...] = ()
    reward: Reward = field(default_factory=Reward)
    named: Mapping[str, str] = field(default_factory=dict[str, str])


def curate_prompts(
    inputs: Inputs, settings: Settings, out: Path | None = None, progress: Progress | None = None
) -> Curation:
    """Choose prompts for RL by how often the model that is to be trained solves them.

    Args:
        out: the folder that is to hold the chosen prompts, the random control, a table of all prompts with reasons,
            and `curation.json`; nothing is written where it is None. A folder with the same settings and inputs is
            taken as it is.

    Raises:
        StratagemError: an input cannot be read or leaves something open; nothing is left to choose from.
    """
    if out is not None and not out.exists():
        check_writable(out)
    pool = read_pool(inputs.pool, settings.by, inputs.named, inputs.reward.join)
    logs = _tallies(inputs.rollouts, inputs.reward, settings.seed, progress)
    again = _tallies(inputs.again, inputs.reward, settings.seed, progress)
    _check_apart(logs, again)
    evaluations = [read_evaluation(path) for path in inputs.holdout]
    files = {str(path): sha256(Path(path)) for path in _files(pool, evaluations, (*logs, *again))}
    if out is None:
        return _curated(inputs, settings, pool, logs, again, evaluations, files)[0]
    read = asdict(inputs.reward) | {"read": asdict(inputs.reward.read)}
    recorded = asdict(settings) | {
        "inputs": list(files.values()),
        "reading": read,
        "named": dict(inputs.named),
    }
    stage = Stage(STAGE, VERSION, _plain(recorded), out)
    if stage.done:
        return decode((out / RESULT).read_bytes())
    curation, decision, chosen = _curated(inputs, settings, pool, logs, again, evaluations, files)
    with stage.open() as folder:
        written = _write(pool, settings, decision, chosen, folder)
        curation = msgspec.structs.replace(curation, files=written)
        write_json(folder / RESULT, curation.as_dict())
    return curation


def _tallies(
    groups: Sequence[Sequence[str]], reward: Reward, seed: int, progress: Progress | None
) -> list[Tally]:
    made: list[Tally] = []
    for paths in groups:
        name = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"

        def say(rows: int, name: str = name) -> None:
            if progress is not None:
                progress(f"read {name}", rows, 0, {})

        made.append(tally(paths, reward, name, seed, say))
    return made


def _check_apart(logs: Sequence[Tally], again: Sequence[Tally]) -> None:
    """
    Raises:
        StratagemError: a file is given twice, or logs hold rewards of several kinds.
    """
    seen: set[str] = set()
    for log in (*logs, *again):
        for name in log.files:
            if str(Path(name).resolve()) in seen:
                raise StratagemError(f"{name}: is given twice, so that its samples would count twice")
            seen.add(str(Path(name).resolve()))
    for log in (*logs[1:], *again):
        if log.binary != logs[0].binary:
            one, other = (logs[0], log) if logs[0].binary else (log, logs[0])
            raise StratagemError(
                f"{one.name} holds right and wrong ({one.score}), {other.name} other rewards ({other.score}): say for "
                "all what is right with --correct"
            )


def _files(pool: Pool, evaluations: Sequence[Evaluation], logs: Sequence[Tally]) -> list[Path]:
    named = [*pool.files, *(path for one in evaluations for path in one.files)]
    # A file inside an archive is called ARCHIVE/MEMBER.
    inside = [Path(name) for log in logs for name in log.files]
    inside = [next((path for path in (name, *name.parents) if path.is_file()), name) for name in inside]
    return [path for path in dict.fromkeys([*named, *inside]) if path.is_file()]


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _plain(value)
        if isinstance(value, Mapping)
        else list(value)
        if isinstance(value, tuple)
        else value  # pyright: ignore[reportUnknownArgumentType]
        for name, value in settings.items()
    }


def _curated(
    inputs: Inputs,
    settings: Settings,
    pool: Pool,
    logs: Sequence[Tally],
    again: Sequence[Tally],
    evaluations: Sequence[Evaluation],
    files: dict[str, str],
) -> tuple[Curation, Decided, Chosen]:
    strata = strata_of(pool)
    frontier = Frontier(settings.group, settings.min_signal)
    twice = _again_in_pool(pool)
    asked = [] if pool.prompt is None else [pool.prompt]
    of_evaluations = held_out(pool.name, pool.rows, asked, pool.problems, evaluations)
    evaluated = np.any(of_evaluations, axis=0)
    counted = twice < 0

    def profiled(tallies: Sequence[Tally]) -> tuple[Matched, Profile]:
        matched = match(pool, tallies, inputs.reward.join)
        binary = tallies[0].binary
        known = profile(matched.sums, strata.home, strata.count, counted, binary, frontier, settings.level)
        return matched, known

    before = profiled(logs)
    matched, now = profiled(again) if again else before
    eligible = ~evaluated
    if settings.duplicates == "drop":
        eligible &= counted
    if settings.unseen == "drop":
        eligible &= now.n > 0
    flat = (now.flat >= settings.sure) & (now.n > 0)
    rng = np.random.default_rng([settings.seed, 1])
    chosen = choose(
        now.signal,
        strata.home,
        strata.count,
        eligible,
        eligible
        if settings.keep_signal is not None
        else eligible & ~flat,  # ranked last, they need no dropping
        (now.n == 0) & (settings.unseen == "keep"),
        Wanted(settings.size, settings.keep_signal, target_shares(settings.target, strata, eligible)),
        rng,
        dict(enumerate(strata.names)),
    )
    decision = decided(
        pool, now, strata.names, strata.home, chosen, settings, twice, evaluated, flat, evaluations
    )
    if again:
        decision = decision.with_earlier(before[1])
    curation = summary(
        pool,
        settings,
        strata.names,
        strata.home,
        chosen,
        decision,
        now,
        before[1] if again else None,
        eligible,
        _facts(logs, before[0]),
        _facts(again, matched) if again else [],
        files,
        [
            *pool.notes,
            *unmatched(pool.name, evaluations, of_evaluations),
            *before[0].notes,
            *(note for log in (*logs, *again) for note in log.notes),
        ],
    )
    return curation, decision, chosen


def _facts(logs: Sequence[Tally], matched: Matched) -> list[LogFacts]:
    return [
        LogFacts(
            name=log.name,
            files=log.files,
            format=log.format,
            score=log.score,
            problems=log.sums.height,
            matched=hits,
            responses=log.responses,
            join=method,
        )
        for log, hits, method in zip(logs, matched.hits, matched.methods, strict=True)
    ]


def _again_in_pool(pool: Pool) -> Ints:
    """For each row the earlier one with the same prompt, or, without prompts, the same id; -1 where there is none."""
    key = pl.coalesce("by_normalised", pl.concat_str(pl.lit("id "), "problem_id"))
    rows = pool.problems.select(key=key).with_row_index("row")
    first = rows.select(first=pl.col("row").min().over("key"))["first"].to_numpy().astype(np.int64)
    return np.where(first == np.arange(len(pool)), -1, first)


def _write(pool: Pool, settings: Settings, decision: Decided, chosen: Chosen, folder: Path) -> dict[str, str]:
    """Write all files of a curation but `curation.json`; their names, by what they are."""
    form = settings.form or pool.rows.form
    added = {WEIGHT: decision.weight[chosen.rows].tolist()} if settings.curriculum == "weights" else None
    written = {
        "chosen": write_rows(pool, chosen.rows, folder, "chosen", form, added),
        "control": write_rows(pool, chosen.control, folder, "control", form),
    }
    if settings.curriculum == "stages":
        stage_x = decision.stage[chosen.rows]
        for number in np.unique(stage_x).tolist():
            rows = chosen.rows[stage_x == number]
            written[f"stage {number}"] = write_rows(pool, rows, folder, f"stage-{number}", form)
    write_table(folder / TABLE, decision.table(pool))
    return written | {"every prompt with its reason": TABLE}
