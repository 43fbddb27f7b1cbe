"""No module outside a task's folder names a task, a strategy, a kind of problem, an arm or a study."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from stratagem.studies.files import shipped
from stratagem.studies.study import read_study
from stratagem.tasks import TASKS

SOURCE = Path(__file__).parents[1] / "src" / "stratagem"
# The explicit tables: which tasks there are, and for which of them a base model ships.
TABLES = {"tasks/__init__.py", "models/folder.py", "__init__.py"}
# Names that are also words of the language or of a file's form, with the modules where they are that.
WORDS = {
    "evaluation": "what a study asks of its arms, a key of summary.json",
    "running": "the state of a run that is watched",
    "repeated": "what a log holds twice",
    "all": "every kind of problem, every weight",
    "difficulty": "a column of every table of responses",
    "figures": "a key of a study's file",
    "frontier": "a sampler of prompts",
    "guess": "where curation has the noise of pass rates from",
}


@cache
def names() -> set[str]:
    listed = set(TASKS) | {kind.__name__ for kind in TASKS.values()} | set(shipped())
    for kind in TASKS.values():
        listed |= {*kind.strategies, *kind.kinds, *kind.mixes}
    for study in shipped():
        listed |= set(read_study(study).arms)
    return {name for name in listed if len(name) > 1} - WORDS.keys()  # a letter names anything


def said(tree: ast.Module) -> Iterator[str]:
    """Every text of a module's code, without its docstrings, and the parts of what it imports from tasks."""
    docs = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(str() as text) if node not in docs:
                yield text
            case ast.ImportFrom(module, imported) if module and module.startswith("stratagem.tasks"):
                yield from (*module.split("."), *(alias.name for alias in imported))
            case _:
                pass


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_task_a_strategy_an_arm_and_a_study_are_named_at_home_alone(path: Path) -> None:
    place = str(path.relative_to(SOURCE))
    homes = {f"tasks/{name}/" for name in TASKS}
    if place in TABLES or any(place.startswith(home) for home in homes):
        return
    named = names() & set(said(ast.parse(path.read_text())))
    assert not named


def opened(tree: ast.Module) -> Iterator[ast.Call]:
    """Calls by which Polars opens files."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(ast.Name("pl"), name)) if name.startswith(
                ("read_", "scan_")
            ) and not name.endswith(("_metadata", "_schema")):
                yield node
            case _:
                pass


def test_no_path_is_taken_for_a_pattern() -> None:
    """Polars reads `a[1].parquet` as a pattern unless it is told not to."""
    calls = [call for path in SOURCE.rglob("*.py") for call in opened(ast.parse(path.read_text()))]
    assert len(calls) > 5
    for call in calls:
        assert any(word.arg == "glob" and ast.unparse(word.value) == "False" for word in call.keywords), (
            ast.unparse(call)
        )
