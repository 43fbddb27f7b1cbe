"""Claims of a study: inequalities that a run upholds, refutes or leaves undecided.

A part is upheld where the whole interval of its quantity lies on the claimed side of the limit, refuted where it lies
on the other side (or beyond the limit that the file names for that), else undecided. A claim is as strong as its
weakest part: refuted if one is, else undecided if one is. With one replicate the intervals cover the choice of problems
alone and a claim "holds in this run"; with several they are t intervals over replicates. The file's rules are fixed
before any result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stratagem.records import Estimate, points
from stratagem.studies.quantities import Quantity, Source
from stratagem.studies.study import Claim, Part

UPHELD, REFUTED, UNDECIDED = "upheld", "refuted", "undecided"


def verdict(part: Part, estimate: Estimate, limit: float) -> str:
    """How a part comes out; `limit` is its `above` or `below` as a fraction."""
    if part.above is not None:
        opposite = limit if part.refuted_below is None else part.refuted_below / 100
        return UPHELD if estimate.low > limit else REFUTED if estimate.high < opposite else UNDECIDED
    opposite = limit if part.refuted_above is None else part.refuted_above / 100
    return UPHELD if estimate.high < limit else REFUTED if estimate.low > opposite else UNDECIDED


def judge_part(part: Part, source: Source) -> dict[str, Any]:
    estimate = Quantity.parse(part.quantity).estimate(source, part.level / 100)
    said = part.below if part.above is None else part.above
    assert said is not None  # checked when the study is read
    limit = Quantity.parse(said).limit(source)
    return {
        "statement": part.statement.replace("{limit}", points(limit, 0)),
        **estimate.as_dict(),
        "verdict": verdict(part, estimate, limit),
        "quantity": part.quantity,
        "level": part.level / 100,
        "above" if part.above is not None else "below": limit,
    }


def judge(claims: Sequence[Claim], source: Source) -> list[dict[str, Any]]:
    """All claims, JSON-ready: id, statement, verdict, the leading part's numbers and every part."""
    judged: list[dict[str, Any]] = []
    for claim in claims:
        parts = [judge_part(part, source) for part in claim.parts]
        lead = parts[0] if parts else Estimate(float("nan")).as_dict()
        judged.append(
            {
                "id": claim.id,
                "statement": claim.statement,
                "verdict": weakest([part["verdict"] for part in parts]),
                "difference": lead["value"],
                "low": lead["low"],
                "high": lead["high"],
                "parts": parts,
            }
        )
    return judged


def weakest(verdicts: Sequence[str]) -> str:
    if not verdicts or (UNDECIDED in verdicts and REFUTED not in verdicts):
        return UNDECIDED
    return REFUTED if REFUTED in verdicts else UPHELD
