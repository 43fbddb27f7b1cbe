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
    "FiniteField": "stratagem.tasks",
    "TASKS": "stratagem.tasks",
    "Task": "stratagem.tasks",
    "make_task": "stratagem.tasks",
    "curate_prompts": "stratagem.curation.prompts",
    "diagnose": "stratagem.diagnosis.diagnose",
    "read_rollouts": "stratagem.diagnosis.frames",
    "label": "stratagem.diagnosis.frames",
    "read_rules": "stratagem.labelling.rules",
    "label_table": "stratagem.tasks.table",
    "Look": "stratagem.diagnosis.side",
    "count": "stratagem.stats.counts",
    "decompose": "stratagem.decomposition.decompose",
    "decompose_corrected": "stratagem.label_error.correction",
    "sheet": "stratagem.label_error.sheet",
    "validate": "stratagem.label_error.quality",
    "flips": "stratagem.decomposition.flips",
    "headroom": "stratagem.decomposition.headroom",
    "passk": "stratagem.stats.passk",
    "path": "stratagem.decomposition.path",
    "SFTConfig": "stratagem.settings",
    "GRPOConfig": "stratagem.settings",
    "RolloutConfig": "stratagem.settings",
    "rollout": "stratagem.sampling.rollout",
    "reproduce": "stratagem.studies.run",
}

__all__ = list(_PLACES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'stratagem' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
