"""Strategies of foreign texts, by rules: a TOML file of regular expressions, or a function of the user's own.

``docs/rules.md`` says how to write and fix them.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from stratagem.labelling import fit
from stratagem.labelling.compile import plan
from stratagem.labelling.function import read_function
from stratagem.labelling.ruleset import (
    STARTERS,
    Failure,
    Parts,
    Rule,
    RuleSet,
    check_examples,
    examples,
    read_rule_file,
)
from stratagem.records import StratagemError

__all__ = ["Failure", "Parts", "Rule", "RuleSet", "check_rules", "label_frame", "read_rules", "starter_sets"]


def starter_sets() -> tuple[str, ...]:
    """The names of the rule sets that come with the package."""
    return tuple(sorted(path.stem for path in STARTERS.glob("*.toml")))


def read_rules(source: str | Path) -> RuleSet:
    """How to label responses.

    Args:
        source: the name of a starter set (``math``, ``word-problems``, ``code``), a TOML file, or ``module:function``
            (also ``file.py:function``): a function from a text to the name of a strategy, or from a frame to a column
            or frame of labels, by the annotation of its argument or with ``text:`` or ``frame:`` in front.

    Raises:
        StratagemError: there is no such thing, or what is wrong in it.
    """
    name = str(source)
    if name in starter_sets():
        return read_rule_file(STARTERS / f"{name}.toml", name)
    if name.endswith(".toml") or Path(name).is_file():
        return read_rule_file(Path(name), name)
    if ":" in name:
        return read_function(name)
    raise StratagemError(
        f"--strategies {name}: must be one of {', '.join(starter_sets())}, a TOML file, or module:function"
    )


def label_frame(frame: pl.DataFrame, rules: RuleSet, *, evidence: bool = True) -> pl.DataFrame:
    """The frame with `strategy` and `behaviours`, and with `evidence` unless that is not wanted (about twice as fast).

    Every row has exactly one strategy: ``truncated`` where `finish_reason` is ``"length"``, else ``unparsed``
    where no answer is found, else the first strategy of the rules that holds, else ``other``. `behaviours` is
    List[String], in the rules' order. `evidence` is JSON, ``{"marks": [[start, end, rule], …]}``: what decided
    the strategy, then the first place of each behaviour, in characters of the completion.

    Raises:
        StratagemError: no column `completion`, or a function of the user's own fails.
    """
    if "completion" not in frame.columns:
        raise StratagemError(f"no column 'completion' to label; the columns are {', '.join(frame.columns)}")
    if frame.schema["completion"] != pl.String:
        raise StratagemError(f"column 'completion' holds {frame.schema['completion']}, it has to be text")
    if rules.function is not None:
        return rules.function(frame)
    return _label(frame, rules, evidence, form=True)


def _label(frame: pl.DataFrame, rules: RuleSet, evidence: bool, form: bool) -> pl.DataFrame:
    return plan(frame.lazy(), frame.columns, rules, evidence=evidence, form=form).collect()


def check_rules(rules: RuleSet) -> list[Failure]:
    """The examples and counter-examples that their rules get wrong; empty if all is well.

    An example of a strategy has to get that strategy, against the rules before it; a counter-example may get any
    other. A text in which no answer is found counts as all answer, so that examples can be short.
    """
    texts = [text for *_, text in examples(rules)]
    frame = pl.DataFrame({"completion": texts}, schema={"completion": pl.String})
    labelled = _label(frame, rules, evidence=False, form=False)
    labels = list(labelled.select("strategy", "behaviours").iter_rows())
    return check_examples(rules, labels) + fit.failures(rules)
