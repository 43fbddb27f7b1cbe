"""Stratagem: did RL post-training select better strategies, or execute them better, and what to change next."""

from __future__ import annotations

import importlib
from typing import Any

# name: where it lives. Imported when first used, so that `import stratagem` needs neither torch nor time.
_PLACES = {
    "Estimate": "stratagem.records",
    "Label": "stratagem.records",
    "Problem": "stratagem.records",
    "StratagemError": "stratagem.records",
    "FiniteField": "stratagem.tasks.finite_field",
    "TASKS": "stratagem.tasks",
    "STRATEGIES": "stratagem.strategies",
    "diagnose": "stratagem.lens.diagnose",
    "read_rollouts": "stratagem.lens.frames",
    "label": "stratagem.lens.frames",
    "read_rules": "stratagem.strategies.rules",
    "demonstrations": "stratagem.strategies",
    "label_table": "stratagem.strategies.table",
    "Look": "stratagem.lens.side",
    "count": "stratagem.mechanisms.counts",
    "decompose": "stratagem.mechanisms.decompose",
    "decompose_corrected": "stratagem.mechanisms.correction",
    "sheet": "stratagem.mechanisms.sheet",
    "validate": "stratagem.mechanisms.labels",
    "headroom": "stratagem.mechanisms.headroom",
    "passk": "stratagem.mechanisms.passk",
    "path": "stratagem.mechanisms.path",
    "SFTConfig": "stratagem.settings",
    "GRPOConfig": "stratagem.settings",
    "RolloutConfig": "stratagem.settings",
    "rollout": "stratagem.sampling.rollout",
    "reproduce": "stratagem.studies.table1",
}

__all__ = list(_PLACES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'stratagem' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
