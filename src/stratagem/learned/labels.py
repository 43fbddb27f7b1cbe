"""Labels of whole logs, learned from a sheet, and their error as the sheet's random responses measure it.

A hand-labelled response gets the label of a model that has not seen it, in the logs as in the measurement, so that the
error that is measured is the error that the labels have. Only responses that were asked at random tell of it; each
weighs as many as the log holds of its side, outcome and label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from stratagem.label_error.calibration import Calibration
from stratagem.label_error.quality import LabelQuality, validate
from stratagem.label_error.sheet import CELL
from stratagem.labelling.ruleset import Parts, RuleSet
from stratagem.learned.asking import RANDOM
from stratagem.learned.features import Texts, read_texts
from stratagem.learned.model import Model, fit, out_of_fold
from stratagem.learned.sheet import read_labels, text_id
from stratagem.records import TRUNCATED, StratagemError

AT_ONCE = 5_000  # responses whose terms are counted together, so that memory does not grow with a batch


@dataclass(frozen=True)
class LearnedLabels:
    """What a sheet teaches.

    Attributes:
        source: the sheet's name, for messages.
        hand: its labelled rows; `strategy` is the label by a model that has not seen the row.
        model: fitted to all of them.
    """

    source: str
    hand: pl.DataFrame
    model: Model

    @classmethod
    def of(cls, hand: pl.DataFrame, source: str, texts: Texts | None = None) -> LearnedLabels:
        """Fit to labelled rows, as `read_labels` gives them.

        Args:
            texts: of the rows, where they have been read already.

        Raises:
            StratagemError: too few labels, or scikit-learn is not there.
        """
        if texts is None:
            texts = read_texts(hand["completion"].to_list(), hand["prompt"].to_list())
        labels: list[str] = hand["true_strategy"].to_list()
        try:
            model, given = fit(texts, labels), out_of_fold(texts, labels)
        except StratagemError as error:
            raise StratagemError(f"{source}: {error}") from None
        return cls(source, hand.with_columns(strategy=pl.Series(given, dtype=pl.String)), model)

    @classmethod
    def read(cls, path: Path) -> LearnedLabels:
        """From a sheet.

        Raises:
            StratagemError: as `read_labels` and `of`.
        """
        return cls.of(read_labels(path), str(path))

    @property
    def sides(self) -> set[str]:
        """Those of the responses that were asked at random."""
        return set(self.hand.filter(pl.col("asked") == RANDOM)["side"])

    @cached_property
    def rules(self) -> RuleSet:
        """The model as a labeller of frames."""
        said = f"learned from {self.hand.height} labelled responses"
        return RuleSet(self.source, (), (), Parts(), self.model.fingerprint, said, self.label)

    def label(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with `strategy`, `behaviours` (none) and `evidence` (no marks).

        Cut responses (`finish_reason` ``length``) are ``truncated``, as under rules.
        """
        completions = frame["completion"].fill_null("").to_list()
        prompts = (
            frame["prompt"].fill_null("").to_list() if "prompt" in frame.columns else [""] * frame.height
        )
        by_hand = dict(self.hand.select("text_id", "strategy").iter_rows())
        labels: list[str] = []
        for start in range(0, frame.height, AT_ONCE):
            part = slice(start, start + AT_ONCE)
            labels += self.model.label(read_texts(completions[part], prompts[part]))
        names = [
            by_hand.get(text_id(*texts), label)
            for label, texts in zip(labels, zip(prompts, completions, strict=True), strict=True)
        ]
        strategy = pl.Series("strategy", names, pl.String)
        if "finish_reason" in frame.columns:
            cut = (frame["finish_reason"] == "length").fill_null(False)
            strategy = strategy.zip_with(~cut, pl.Series([TRUNCATED]))
        return frame.with_columns(
            strategy,
            behaviours=pl.lit([], dtype=pl.List(pl.String)),
            evidence=pl.lit('{"marks":[]}'),
        )

    def quality(self, level: float) -> LabelQuality:
        """How good the labels are, by the sheet alone: a random row weighs by how many responses of its side and
        outcome there were to ask (`weight`).

        Raises:
            StratagemError: no response was asked at random.
        """
        rows = self.hand.filter(pl.col("asked") == RANDOM)
        if rows.is_empty():
            raise StratagemError(f"{self.source}: no response was asked at random, so that no error is known")
        rows = rows.with_columns(pl.col("weight") / pl.len().over("side", "outcome"))
        return validate(rows, level=level)

    def measured(
        self, counts: Sequence[pl.DataFrame], sides: Sequence[str], level: float
    ) -> tuple[LabelQuality, Calibration]:
        """How good the labels of two logs (or one) are, and their error for `correct_pairs`.

        Args:
            counts: of each log: strategy, n, right.
            sides: what the sheet calls these logs.

        Raises:
            StratagemError: no random response of these logs is labelled.
        """
        cells = pl.concat([_cells(table, side) for table, side in zip(counts, sides, strict=True)])
        rows = self.hand.filter(pl.col("asked") == RANDOM, pl.col("side").is_in(list(sides)))
        if rows.is_empty():
            raise StratagemError(
                f"{self.source}: no response of these logs was asked at random: label some of these very logs"
            )
        names = sorted({*cells["strategy"], *self.hand["true_strategy"], *self.hand["strategy"]})
        quality = validate(_weighted(rows, cells), level=level, names=names)
        # Of one log alone nothing is known of the other.
        told_apart = [side for side in sides if (rows["side"] == side).any()]
        if len(told_apart) < len(sides):
            rows, told_apart = rows.with_columns(side=pl.lit("")), [""]
        return quality, Calibration.of(rows, names, told_apart, known={TRUNCATED} & set(names))


def _cells(table: pl.DataFrame, side: str) -> pl.DataFrame:
    """How many responses of a log lie in each cell: side, outcome, strategy, responses."""
    sums = table.group_by(pl.col("strategy").cast(pl.String)).agg(
        pl.col("n").sum().cast(pl.Float64), pl.col("right").sum()
    )
    counts = [("right", pl.col("right")), ("wrong", pl.col("n") - pl.col("right"))]
    return pl.concat(
        [
            sums.select(side=pl.lit(side), outcome=pl.lit(which), strategy="strategy", responses=responses)
            for which, responses in counts
        ]
    ).filter(pl.col("responses") > 1e-9)


def _weighted(rows: pl.DataFrame, cells: pl.DataFrame) -> pl.DataFrame:
    """The rows, each with as many responses as it stands for; those of cells that the logs do not hold are left out."""
    joined = rows.join(cells, on=CELL, how="inner", maintain_order="left")
    return joined.with_columns(weight=pl.col("responses") / pl.len().over(CELL)).drop("responses")
