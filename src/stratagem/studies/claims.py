"""Claims of a study: inequalities that a run upholds, refutes or leaves undecided.

A part is upheld where the whole interval of its quantity lies on the claimed side of the limit, refuted where it lies
on the other side, else undecided. A claim is as strong as its weakest part: refuted if one is, else undecided if one
is. With one replicate the intervals cover the choice of problems alone and a claim "holds in this run"; with several
they are t intervals over replicates. The file's rules are fixed before any result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from stratagem.records import Estimate, points
from stratagem.studies.form import Claim, Part
from stratagem.studies.quantities import Quantity, Source
from stratagem.study_result import ClaimResult, Verdict
from stratagem.study_result import Part as PartResult

UPHELD: Verdict = "upheld"
REFUTED: Verdict = "refuted"
UNDECIDED: Verdict = "undecided"


def verdict(part: Part, estimate: Estimate, limit: float) -> Verdict:
    """How a part comes out; `limit` is its `above` or `below` as a fraction."""
    if part.above is not None:
        return UPHELD if estimate.low > limit else REFUTED if estimate.high < limit else UNDECIDED
    return UPHELD if estimate.high < limit else REFUTED if estimate.low > limit else UNDECIDED


def judge_part(part: Part, source: Source) -> PartResult:
    estimate = Quantity.parse(part.quantity).estimate(source, part.level / 100)
    said = part.below if part.above is None else part.above
    assert said is not None  # checked when the study is read
    limit = Quantity.parse(said).limit(source)
    return PartResult(
        statement=part.statement.replace("{limit}", points(limit, 0)),
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        se=estimate.se,
        n=estimate.n,
        verdict=verdict(part, estimate, limit),
        quantity=part.quantity,
        level=part.level / 100,
        above=None if part.above is None else limit,
        below=None if part.below is None else limit,
    )


def judge(claims: Sequence[Claim], source: Source) -> tuple[ClaimResult, ...]:
    """All claims: how each came out, the numbers of its first part, and every part."""
    judged: list[ClaimResult] = []
    for claim in claims:
        parts = tuple(judge_part(part, source) for part in claim.parts)
        value, low, high = (parts[0].value, parts[0].low, parts[0].high) if parts else (math.nan,) * 3
        judged.append(
            ClaimResult(
                id=claim.id,
                statement=claim.statement,
                verdict=weakest([part.verdict for part in parts]),
                difference=value,
                low=low,
                high=high,
                parts=parts,
            )
        )
    return tuple(judged)


def weakest(verdicts: Sequence[Verdict]) -> Verdict:
    if not verdicts or (UNDECIDED in verdicts and REFUTED not in verdicts):
        return UNDECIDED
    return REFUTED if REFUTED in verdicts else UPHELD
