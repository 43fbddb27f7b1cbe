"""Strategies of starter sets by the names that they had before: what older labels, sheets and results call them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from typing import Any

from stratagem.labelling.ruleset import RESERVED, STARTERS


@cache
def _starters() -> dict[str, tuple[frozenset[str], dict[str, str]]]:
    """Of every starter set the names of its strategies, and today's name of each older one."""
    sets: dict[str, tuple[frozenset[str], dict[str, str]]] = {}
    for path in sorted(STARTERS.glob("*.toml")):
        strategies: dict[str, dict[str, Any]] = tomllib.loads(path.read_text())["strategies"]
        older = {old: name for name, rule in strategies.items() for old in rule.get("aliases", ())}
        sets[path.stem] = frozenset(strategies), older
    return sets


def renamed(names: Iterable[str | None]) -> dict[str, str]:
    """Today's names of those that are older ones of a starter set; nothing where other names are among them.

    A strategy of one's own that happens to be called so keeps its name: all the others would have to be the set's too.
    """
    given = {name for name in names if name is not None} - set(RESERVED)
    for known, older in _starters().values():
        if given & older.keys() and given <= known | older.keys():
            return {old: new for old, new in older.items() if old in given}
    return {}
