"""The numbers of a diagnosis and of a decomposition of real rollouts stay what they were, whatever they are called.

The goldens are what version 0.1 printed: `stratagem diagnose before.parquet after_algorithmic.parquet --json` without
paths and without `comparisons`, which say the same again; and `stratagem decompose --by dataset --json` on both logs
labelled by the math rules. Changed since in the evidence: the line "By problem" is new, and forms of the answer are
one line. Intervals are those since old accuracies that few responses show are drawn from a posterior, and groupings
those that leave two strategies or more. Two strategies have other names since.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from stratagem.diagnosis.diagnose import diagnose
from stratagem.diagnosis.side import Look
from stratagem.labelling.rules import read_rules
from stratagem.labelling.ruleset import RuleSet
from stratagem.result import Comparison, decode

DATA = Path(__file__).parents[3] / "shared" / "data" / "algebra-rl"
GOLDEN = Path(__file__).parents[1] / "golden"
LOGS = [DATA / f"{name}.parquet" for name in ("before", "after_algorithmic")]

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="real rollouts are not in this checkout")

# Old names: new names. A pattern stands for every row of a table.
TERM = "(gain|selection|improvement|new_strategy)"
RENAMED = {
    rf"strata\.(\d+)\.{TERM}": r"strata.\1.\2.value",
    rf"strata\.(\d+)\.{TERM}_(low|high|se)": r"strata.\1.\2.\3",
    r"(strata|cells)\.(\d+)\.dataset": r"\1.\2.stratum.dataset",
}
RENAMED_IN_DECOMPOSE = {"verdict": "lead"}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All values that are no container, by their dotted names."""
    parts = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    )
    if parts is None:
        yield path[1:], value
        return
    for name, part in parts:
        yield from leaves(part, f"{path}.{name}")


def renamed(path: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        if match := re.fullmatch(old, path):
            return match.expand(new)
    return path


def same(old: Any, new: Any) -> bool:
    """Equal; on another CPU sums of floats may run in another order."""
    if isinstance(old, float) and isinstance(new, float):
        return old == new or math.isclose(old, new, rel_tol=1e-12, abs_tol=1e-15)
    return type(old) is type(new) and old == new


def differences(golden: Path, result: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    now = dict(leaves(result))
    before = list(leaves(json.loads(golden.read_text())))
    assert len(before) > 100
    missing = object()
    pairs = {path: (old, now.get(renamed(path, names), missing)) for path, old in before}
    return {path: (old, new) for path, (old, new) in pairs.items() if not same(old, new)}


def under_old_names() -> RuleSet:
    """The math rules with every strategy called as version 0.1 called it, which decides the order of merges."""
    rules = read_rules("math")
    strategies = tuple(
        msgspec.structs.replace(rule, name=rule.aliases[0]) if rule.aliases else rule
        for rule in rules.strategies
    )
    return replace(rules, strategies=strategies)


def test_names_of_before_are_read_as_those_of_today() -> None:
    now = diagnose(LOGS)
    before = diagnose(LOGS, Look(rules=under_old_names()))
    read = decode(json.dumps(before.as_dict(), allow_nan=False).encode())
    names = {row.strategy for row in now.strategies}
    assert {row.strategy for row in read.strategies} == names
    assert {row.before for row in read.flips.transitions} <= names
    assert read.strategy_names == now.strategy_names
    shares = [
        {(row.strategy, row.stratum["dataset"]): row.share_after for row in x.cells} for x in (read, now)
    ]
    assert shares[0] == pytest.approx(shares[1], nan_ok=True)
    old = {row.strategy for row in before.strategies} - names
    assert len(old) == 2
    assert read.selection.value == pytest.approx(now.selection.value)


def test_a_diagnosis_says_what_it_said() -> None:
    diagnosis = diagnose(LOGS, Look(rules=under_old_names()))
    assert differences(GOLDEN / "diagnosis_algebra.json", diagnosis.as_dict(), RENAMED) == {}
    # What is written is read again as the same types, and the top level is the whole way.
    diagnosis = diagnose(LOGS)
    read = decode(json.dumps(diagnosis.as_dict(), allow_nan=False).encode())
    assert read.as_dict() == diagnosis.as_dict()
    assert read.headroom == read.comparisons[0].headroom
    assert isinstance(read.comparisons[0], Comparison)
    assert math.isnan(read.reverse.selection.value)
    assert read.selection == diagnosis.selection


def test_a_decomposition_says_what_it_said(stratagem: Callable[..., Any], tmp_path: Path) -> None:
    for log in LOGS:
        done = stratagem("label", log, "--strategies", "math", "--out", tmp_path / log.name)
        assert done.returncode == 0, done.stderr
        # Under the names of version 0.1, which decide in which order accuracies are drawn.
        old = {rule.name: rule.aliases[0] for rule in read_rules("math").strategies if rule.aliases}
        table = pl.read_parquet(tmp_path / log.name).with_columns(pl.col("strategy").replace(old))
        table.write_parquet(tmp_path / log.name)
    words = [tmp_path / log.name for log in LOGS]
    result = json.loads(stratagem("decompose", *words, "--by", "dataset", "--json").stdout)
    assert differences(GOLDEN / "decompose_algebra.json", result, RENAMED_IN_DECOMPOSE) == {}
    # Without --by the strata are those of the diagnosis.
    unasked = json.loads(stratagem("decompose", *words, "--json").stdout)
    assert unasked == result
    diagnosis = diagnose(LOGS).as_dict()
    assert diagnosis["by"] == unasked["by"] == ["dataset"]
    for term in ("gain", "selection", "improvement", "new_strategy"):
        assert diagnosis[term]["value"] == pytest.approx(unasked[term]["value"], abs=1e-12), term
