"""Another set in place of the usual one, where the user names none: how much a rule has that says so, and the note."""

from __future__ import annotations

import polars as pl

from stratagem.labelling.fit import held_by
from stratagem.labelling.rules import Rule, RuleSet, label_frame


def share_of(first: pl.DataFrame, rules: RuleSet, rule: Rule) -> float:
    """The part of responses that a rule of `unfit` holds for, or that have a strategy by the rules.

    Args:
        first: completion.
    """
    if rule in rules.unfit:
        return float(held_by(rule, first["completion"]).mean() or 0.0)  # type: ignore[arg-type]
    return float((label_frame(first, rules, evidence=False)["strategy"] == rule.name).mean() or 0.0)  # type: ignore[arg-type]


def taken_in_place(taken: str, rules: RuleSet, rule: Rule, most: str) -> str:
    """That a set is taken in place of the usual one, and why.

    Args:
        rule: that names it as `finer`. most: the responses that the rule has, in words.
    """
    unfit = rule in rules.unfit
    why = (
        f"{most} {rule.description.partition(',')[0]}"
        if unfit
        else (f"the set {rules.name} would say {rule.name} of {most}")
    )
    same = f"--strategies {rules.name} takes that set all the same"
    return f"strategies are those of the set {taken}, since {why}; {same}"
