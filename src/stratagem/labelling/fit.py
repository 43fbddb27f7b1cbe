"""Whether rules are for the responses at hand: what a set of rules says that it is not for."""

from __future__ import annotations

import polars as pl

from stratagem.labelling.compile import TEXT, holds
from stratagem.labelling.ruleset import Failure, Rule, RuleSet

LOOKED_AT = 2_000  # responses
FEWEST = 20
MOST = 0.5  # of the responses looked at


def unfit_notes(name: str, completions: pl.Series, rules: RuleSet | None) -> list[str]:
    """What to do where most of the first responses are such as the rules are not for.

    Args:
        name: of the log.
    """
    texts = completions.drop_nulls().head(LOOKED_AT)
    texts = texts.filter(texts != "")
    if rules is None or not rules.unfit or len(texts) < FEWEST:
        return []
    return [
        f"{name}: {share:.0%} of the first {len(texts):,} responses {rule.description}"
        for rule, share in ((rule, float(held_by(rule, texts).mean() or 0.0)) for rule in rules.unfit)  # type: ignore[arg-type]
        if share > MOST
    ]


def held_by(rule: Rule, texts: pl.Series) -> pl.Series:
    """Whether the rule holds for each text."""
    return pl.DataFrame({TEXT: texts}).select(holds(rule, pl.col(TEXT))).to_series()


def failures(rules: RuleSet) -> list[Failure]:
    """The examples and counter-examples of `unfit` that their rules get wrong."""
    return [
        Failure(f"unfit.{rule.name}", should, text, rule.name if held else "fit")
        for rule in rules.unfit
        for should, texts in ((True, rule.examples), (False, rule.counter_examples))
        for text, held in zip(texts, held_by(rule, pl.Series(texts, dtype=pl.String)), strict=True)
        if held != should
    ]
