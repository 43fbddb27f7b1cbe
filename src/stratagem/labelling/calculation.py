r"""How the numbers of a worked calculation flow: which are given, which are results that a later step takes up.

``20 \times 4 = 80``, then ``80 / 8 = 10`` is outlined as ``n*n=r1; r1/n=r2;``: n is a number that was calculated
nowhere before, r1 the result of the first calculation. Where results are added or subtracted of which neither was
calculated from the other, ``apart`` stands behind: ``n*n=r1; n*n=r2; r1+r2=r3 apart;``. An expression of two operations
or more that is written without its value has no result: ``n*n-n;``.
"""

from __future__ import annotations

import re

import polars as pl

# What stands between numbers and says nothing of how they flow. In this order.
_NUMBER = r"\(*-?[0-9]+(?:\.[0-9]+)?%?\)*"
_WORDS = r"(?:\([^()=+*0-9\n]*\)|[A-Za-z'’]+(?:[ /-]+[A-Za-z'’]+){0,4})"
_PLAIN = (
    (r"\\(?:text|mathrm|textbf|mbox)\s*\{[^{}]*\}", " "),
    (r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", "(${1})/(${2})"),
    (r"\\times|\\cdot|×|·", "*"),
    (r"\\div|÷", "/"),
    (r"\\approx|≈", "="),
    (r"([0-9]) ?x ?([0-9])", "${1}*${2}"),
    (r"\\(?:left|right|quad|boxed)|\\[()\[\],;! ]|\\?\$|`|\*\*|[{}]", ""),
    (r"\\%", "%"),
    # twice, since a match takes the digit that the next one would begin with
    (r"([0-9]),([0-9]{3})", "${1}${2}"),
    (r"([0-9]),([0-9]{3})", "${1}${2}"),
    (r"(%|[0-9]/[0-9]+\)?) of ", "${1}*"),
    (r"([0-9]%?\)*) (?:is|gives|equals|makes|is equal to|comes to) ([0-9])", "${1}=${2}"),
    (rf"([0-9]%?\)*) ?{_WORDS}(?: ?\([^()=+*0-9\n]*\))?( *\)* *[-+*/=])", "${1}${2}"),
    (r" +\)", ")"),
    (r"/ *([*=+\n]|$)", "${1}"),
)
_OPERATED = rf"{_NUMBER}(?: *[-+*/] *{_NUMBER})"
_CALCULATION = rf"{_OPERATED}+(?: *= *{_NUMBER}(?: *[-+*/] *{_NUMBER})*)+|{_OPERATED}{{2,}}"
_PIECE = re.compile(r"([-+*/]?)([0-9]+(?:\.[0-9]+)?)")
MOST = 200  # calculations of a text; later ones are left out
SLICE = 1_000  # texts


def outline(texts: pl.Series) -> pl.Series:
    """The outline of each text's calculations; empty where there is none, null for null."""
    text = pl.col("text")
    for pattern, into in _PLAIN:
        text = text.str.replace_all(pattern, into)
    bare = pl.element().str.replace_all("[()% ]", "")
    found = text.str.extract_all(_CALCULATION).list.head(MOST).list.eval(bare)
    outlines: list[str | None] = []
    # In slices, since Python's collector of garbage goes through all lists that there are, again and again.
    for part in pl.DataFrame({"text": texts}).iter_slices(SLICE):
        written = part.select(found).to_series().to_list()
        outlines += [None if each is None else _outline(each) for each in written]
    return pl.Series(texts.name, outlines, pl.String)


def _outline(calculations: list[str]) -> str:
    clauses: list[str] = []
    made: dict[float, list[int]] = {}  # value: the calculations that gave it, in their order
    # Of each result those that it was calculated from, and those that it sums up (itself if none); there is no r0.
    roots: list[set[int]] = [set()]
    terms: list[set[int]] = [set()]
    for written in calculations:
        first, *others = written.split("=")
        used: list[int] = []
        clause = ""
        signs = ""
        for sign, number in _PIECE.findall(first):
            result = 0
            # The latest calculation with this value that no other operand here has taken.
            for candidate in reversed(made.get(float(number), ())):
                if candidate not in used:
                    result = candidate
                    used.append(result)
                    break
            clause += f"{sign}r{result}" if result else f"{sign}n"
            signs += sign
        if others:
            values = _PIECE.findall(others[-1])
            if len(values) != 1:
                continue
            new = len(roots)
            roots.append(set(used).union(*[roots[r] for r in used]))
            adds = signs.strip("+") == ""
            terms.append((set[int]().union(*[terms[r] for r in used]) if adds else set[int]()) or {new})
            made.setdefault(float(values[0][1]), []).append(new)
            clause += f"=r{new}"
            if len(used) > 1 and signs.strip("+-") == "" and _apart([terms[r] for r in used], roots):
                clause += " apart"
        clauses.append(clause + ";")
    return " ".join(clauses)


def _apart(terms: list[set[int]], roots: list[set[int]]) -> bool:
    """Whether two of the numbers that are added go back to results of which neither was calculated from the other."""
    return any(
        a not in roots[b] and b not in roots[a]
        for i, some in enumerate(terms)
        for others in terms[:i]
        for a in some
        for b in others - some
    )
