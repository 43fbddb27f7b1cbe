"""What hand labels say about labels, as a part of a result."""

from __future__ import annotations

from stratagem.records import Estimate, Result


class StrategyQuality(Result, frozen=True):
    """How many of the responses labelled so are truly so (precision), and the other way round (recall)."""

    strategy: str
    precision: Estimate
    recall: Estimate


class Confused(Result, frozen=True):
    """How many responses of the log are truly of a strategy and labelled as another, and their share of the former."""

    true: str
    label: str
    responses: float
    share: Estimate


class ScopeQuality(Result, frozen=True):
    """Label quality over all hand-labelled responses, or those of one side or outcome (None: all)."""

    side: str | None
    outcome: str | None
    labelled: int
    agreement: Estimate
    kappa: Estimate
    strategies: tuple[StrategyQuality, ...]
    confusion: tuple[Confused, ...]


class Quality(Result, frozen=True):
    """What hand labels say about labels. `designed`: the sheet's weights were used. Scopes: all together first."""

    level: float
    designed: bool
    sides: tuple[str, ...]
    scopes: tuple[ScopeQuality, ...]
