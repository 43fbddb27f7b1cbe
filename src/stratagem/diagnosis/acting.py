"""The command that acts on a verdict, with the paths and columns of the logs that were compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from stratagem.diagnosis.side import Look
from stratagem.result import Comparison, Findings
from stratagem.rollouts.correctness import quoted
from stratagem.verdict.next_step import command
from stratagem.verdict.rules import Verdict

# Strata whose shares are to change where difficulty does, or that no pool has.
NOT_KEPT = ("difficulty", "level", "problem_id", "checkpoint")


def with_command(findings: Findings, paths: Sequence[str | Path], look: Look) -> Findings:
    """The findings with the command that acts on the verdicts on the last side, where one does.

    Args:
        paths: of the last log, as they were named.
    """
    last = findings.comparisons[-1].after if findings.comparisons else None
    if last is None or look.window is not None:
        return findings
    log, options = ",".join(map(str, paths)), reading_options(findings, look, last)

    def acted(verdict: Verdict | None) -> Verdict | None:
        if verdict is None:
            return None
        return msgspec.structs.replace(verdict, command=command(verdict.action, log, options))

    def compared(comparison: Comparison) -> Comparison:
        if comparison.after != last:
            return comparison
        return msgspec.structs.replace(comparison, verdict=acted(comparison.verdict))

    return msgspec.structs.replace(
        findings, verdict=acted(findings.verdict), comparisons=tuple(map(compared, findings.comparisons))
    )


def reading_options(findings: Findings, look: Look, last: str) -> list[str]:
    """The options under which `curate` reads the last side as it was read here."""
    options: list[str] = []
    for name, value in (("--score", look.score), ("--correct", look.correct)):
        options += [] if value is None else [name, value]
    if look.join in ("id", "prompt", "normalised"):
        options += ["--join", look.join]
    where = [] if look.where is None else [look.where]
    if look.checkpoint is not None:
        value = last if last.isdecimal() else f"'{last}'"
        where = [*(f"({text})" for text in where), f"{quoted(look.checkpoint)} = {value}"]
    options += ["--where", " AND ".join(where)] if where else []
    named = [f"{ours}={theirs}" for ours, theirs in look.read.columns.items()]
    options += ["--columns", *named] if named else []
    kept = [name for name in findings.by if name not in NOT_KEPT]
    return [*options, *(["--by", ",".join(kept)] if kept else [])]
