"""Another set of rules where the user names none and the usual one is unfit, or has one name for most responses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import polars as pl

from stratagem.diagnosis.match import checkpoint_runs, run_name
from stratagem.diagnosis.side import Opened, checkpoints_of, labeller
from stratagem.labelling.fit import FEWEST, LOOKED_AT, MOST
from stratagem.labelling.in_place import share_of, taken_in_place
from stratagem.labelling.rules import Rule, RuleSet, read_rules


def with_finer_rules(
    opened: Sequence[Opened],
    by_hand: Collection[str] = (),
    progress: Callable[[str, int], None] = lambda what, rows: None,
) -> list[Opened]:
    """The logs with the set that a rule of the usual one names as `finer`, where that rule has most of the first
    responses of every side that is compared: of every log, or of every checkpoint of a log that holds several. The
    first of the logs says so in its notes. Responses that the usual set is not for go first.

    Args:
        by_hand: the strategies of hand labels, which keep the usual set if they are of it.
        progress: gets what is read and the number of rows read, where a log is read for its checkpoints.
    """
    rules = opened[0].rules
    if rules is None or any(log.look.rules is not None or log.rules is None for log in opened):
        return list(opened)
    usual = {rule.name for rule in rules.strategies}
    asked = [
        (rule, rule.finer)
        for rule in (*rules.unfit, *rules.strategies)
        if rule.finer and not (usual if rule in rules.unfit else {rule.name}) & set(by_hand)
    ]
    sides = [side for log in opened for side in _first_responses(log, progress)] if asked else []
    for rule, name in asked:
        shares = [_share(texts, rules, rule) for _, texts in sides]
        if min(shares, default=0.0) > MOST:
            each = ", ".join(f"{share:.0%} of {side}" for share, (side, _) in zip(shares, sides, strict=True))
            note = taken_in_place(name, rules, rule, f"most responses ({each})")
            finer = read_rules(name)
            labelled = [_labelled_by(log, finer) for log in opened]
            return [replace(labelled[0], notes=(*labelled[0].notes, note)), *labelled[1:]]
    return list(opened)


def _first_responses(log: Opened, progress: Callable[[str, int], None]) -> list[tuple[str, pl.DataFrame]]:
    """The names of the sides that a log holds, and the first responses of each (completion).

    A log of checkpoints is read twice: which runs of them make a side is known at its end alone. Of another, its first
    batch is nearly always enough.
    """
    sides = [(log.name, pl.lit(True))]
    if log.look.checkpoint is None:
        first = log.first.select("completion").drop_nulls().head(LOOKED_AT)
        if first.height == LOOKED_AT:
            return [(log.name, first)]
    else:
        runs = checkpoint_runs(checkpoints_of(log, progress), log.look.window)
        sides = [(run_name(run), pl.col("checkpoint").is_in(run)) for run in runs]
    texts = {name: pl.DataFrame(schema={"completion": pl.String}) for name, _ in sides}
    unlabelled = replace(log, label=lambda batch: batch)
    rows = 0
    for batch in unlabelled.batches():
        rows += batch.height
        progress(f"first responses of {log.name}", rows)
        for name, inside in sides:
            if texts[name].height < LOOKED_AT:
                more = batch.filter(inside).select("completion").drop_nulls()
                texts[name] = pl.concat([texts[name], more]).head(LOOKED_AT)
        if all(of_side.height == LOOKED_AT for of_side in texts.values()):
            break
    return list(texts.items())


def _share(texts: pl.DataFrame, rules: RuleSet, rule: Rule) -> float:
    """How many of the first responses a rule has; 0 where they are too few to say."""
    return share_of(texts, rules, rule) if texts.height >= FEWEST else 0.0


def _labelled_by(log: Opened, rules: RuleSet) -> Opened:
    labels, _, label = labeller(log.first, replace(log.look, rules=rules))
    return replace(log, labels=labels, rules=rules, label=label)
