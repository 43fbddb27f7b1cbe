"""One person's labels of one pool: what is asked now, what was answered, what the labels tell so far."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stratagem.annotate.marks import Piece, pieces, telling_terms
from stratagem.annotate.names import checked, with_keys
from stratagem.annotate.pool import Responses
from stratagem.annotate.settle import Settling, counts_of, settling
from stratagem.label_error.quality import LabelQuality
from stratagem.learned.asking import BATCH, CHOSEN, FIRST, RANDOM, Asking
from stratagem.learned.labels import LearnedLabels
from stratagem.learned.sheet import SheetFile, row_of
from stratagem.records import OTHER, StratagemError
from stratagem.stats.counts import tally
from stratagem.stats.pairs import pair

LEVEL = 0.95


@dataclass(frozen=True)
class Progress:
    """What the labels tell.

    Attributes:
        labels: how many labels it rests on.
        quality: of the learned labels; None before there is a model, or before a random response was labelled.
        settling: of selection; None where there is one log, or it cannot be said: then `refused` says why.
    """

    labels: int
    quality: LabelQuality | None = None
    settling: Settling | None = None
    refused: str | None = None


@dataclass(frozen=True)
class Question:
    """A response that is asked."""

    row: int
    why: str
    guess: str | None
    chance: float


class Session:
    """A pool, a sheet and a model that learns beside.

    Every answer is on disk before `answer` returns. The model is fitted anew after each batch of answers, in a thread
    of its own, so that nobody waits for it.

    Raises:
        StratagemError: the sheet cannot be written, or holds labels of other logs.
    """

    def __init__(self, responses: Responses, described: dict[str, str], path: Path, seed: int = 0) -> None:
        self.responses, self.described, self.seed = responses, described, seed
        self.asking = Asking(responses.pool)
        self.learned: LearnedLabels | None = None
        self.progress = Progress(0)
        self._turn = threading.Lock()
        self._fitting: threading.Thread | None = None
        self._again = False
        self.sheet = SheetFile(path)
        self._row = self._places()
        self._again_first: list[tuple[int, str]] = []
        for row in self.sheet.rows:
            place = self._row.get((row["side"], row["problem_id"], row["sample"]))
            if place is not None and not self.asking.asked_r[place]:
                self.asking.took(place, row["asked"])
        if self.sheet.rows and not self.asking.why:
            self.sheet.close()
            raise StratagemError(
                f"{path}: holds labels of other logs; give the logs that it was made of, or another --out"
            )
        self._fit_now()
        self.question = self._next()

    def close(self) -> None:
        self.wait()
        self.sheet.close()

    @property
    def labelled(self) -> int:
        return sum(row["true_strategy"] != "" for row in self.sheet.rows)

    def names(self) -> list[dict[str, str]]:
        used = {row["true_strategy"] for row in self.sheet.rows if row["true_strategy"]}
        return [vars(name) for name in with_keys(self.described, used)]

    def answer(self, row: int, strategy: str) -> None:
        """Label the question that is asked, or skip it (an empty strategy); any other is left alone.

        Raises:
            StratagemError: no such strategy, or the disk is full: then it is asked still.
        """
        if self.question is None or row != self.question.row:
            return
        if strategy and strategy not in {name["name"] for name in self.names()}:
            checked(strategy, "strategy")
        asked = self.responses.table.row(row, named=True)
        self.sheet.append(row_of(asked, strategy, self.question.guess or OTHER, self.question.why))
        self.asking.took(row, self.question.why)
        self._again_first = [pair for pair in self._again_first if pair[0] != row]
        self._learn()
        self.question = self._next()

    def undo(self) -> None:
        """Take the last answer back and ask it again."""
        last = self.sheet.undo()
        if last is None:
            return
        place = self._row.get((last["side"], last["problem_id"], last["sample"]))
        if place is not None and self.asking.asked_r[place]:
            self.asking.give_back(place)
            self._again_first.insert(0, (place, last["asked"]))
        self.question = self._next()

    def view(self) -> dict[str, Any]:
        """All that the page shows."""
        counts = Counter(row["true_strategy"] for row in self.sheet.rows)
        return {
            "names": [name | {"labels": counts[name["name"]]} for name in self.names()],
            "labels": self.labelled,
            "random": sum(row["asked"] == RANDOM and row["true_strategy"] != "" for row in self.sheet.rows),
            "skipped": counts[""],
            "pool": self.responses.table.height,
            "question": self._shown(),
            "progress": self._told(),
            "fitting": self._fitting is not None,
        }

    def wait(self) -> None:
        """Until the model has learned from all labels that it is to learn from by now."""
        while (thread := self._fitting) is not None:
            thread.join()

    def _places(self) -> dict[tuple[str, str, str], int]:
        keys = self.responses.table.select("side", "problem_id", pl.col("sample").cast(pl.String))
        return {(str(a), str(b), str(c)): i for i, (a, b, c) in enumerate(keys.iter_rows())}

    def _next(self) -> Question | None:
        model = None if self.learned is None else self.learned.model
        asked = self._again_first[0] if self._again_first else self.asking.next(model)
        if asked is None:
            return None
        row, why = asked
        if model is None:
            return Question(row, why, None, float("nan"))
        chance_s = model.probabilities(self.responses.pool.texts.of(np.array([row])))[0]
        return Question(row, why, model.names[int(chance_s.argmax())], float(chance_s.max()))

    def _shown(self) -> dict[str, Any] | None:
        """The question; of a random one no guess, which could sway the label that is to measure it."""
        if self.question is None:
            return None
        row = self.responses.table.row(self.question.row, named=True)
        marked: list[Piece] = [(row["completion"], False)]
        guess = self.question.guess if self.question.why == CHOSEN else None
        if guess is not None and self.learned is not None:
            texts = self.responses.pool.texts.of(np.array([self.question.row]))
            marked = pieces(row["completion"], telling_terms(self.learned.model, texts, guess))
        return {
            "row": self.question.row,
            "why": self.question.why,
            "prompt": row["prompt"],
            "pieces": marked,
            "guess": guess,
            "chance": round(100 * self.question.chance) if guess is not None else None,
        }

    def _told(self) -> dict[str, Any]:
        now = self.progress
        told: dict[str, Any] = {
            "labels": now.labels,
            "refused": now.refused,
            "quality": None,
            "settling": None,
        }
        if now.quality is not None:
            whole = now.quality.overall
            told["quality"] = {
                "random": whole.labelled,
                "agreement": whole.agreement.as_dict(),
                "kappa": whole.kappa.as_dict(),
                "strategies": [
                    {"name": name, "precision": p.as_dict(), "recall": r.as_dict()}
                    for name, p, r in zip(now.quality.names, whole.precision, whole.recall, strict=True)
                ],
            }
        if now.settling is not None:
            told["settling"] = now.settling.sentence
        return told

    def _learn(self) -> None:
        done = len(self.sheet.rows)
        if done < FIRST or done % BATCH:
            return
        with self._turn:
            if self._fitting is not None:
                self._again = True
                return
            self._fitting = threading.Thread(target=self._work, daemon=True)
        self._fitting.start()

    def _work(self) -> None:
        while True:
            self._fit_now()
            with self._turn:
                if not self._again:
                    self._fitting = None
                    return
                self._again = False

    def _fit_now(self) -> None:
        rows = [row for row in list(self.sheet.rows) if row["true_strategy"]]
        if len(rows) < FIRST:
            return
        hand = pl.DataFrame(rows).with_columns(pl.col("score", "weight").cast(pl.Float64))
        places = [self._row.get((r["side"], r["problem_id"], r["sample"])) for r in rows]
        in_pool = np.array([place is not None for place in places])
        known = np.array([place for place in places if place is not None], dtype=np.int64)
        hand = hand.filter(pl.Series(in_pool))
        weight = pl.Series(self.responses.table["weight"].gather(known))
        hand = hand.with_columns(weight=weight)
        try:
            learned = LearnedLabels.of(hand, str(self.sheet.path), self.responses.pool.texts.of(known))
        except StratagemError as error:
            self.progress = Progress(len(rows), refused=str(error))
            return
        self.learned = learned
        quality = None
        with contextlib.suppress(StratagemError):  # all random ones skipped
            quality = learned.quality(LEVEL)
        try:
            self.progress = Progress(len(rows), quality, self._settling(learned, known))
        except StratagemError as error:
            self.progress = Progress(len(rows), quality, refused=str(error))

    def _settling(self, learned: LearnedLabels, known: Any) -> Settling | None:
        """How sure selection is between the first log and the last, by the responses of the pool."""
        table, by = self.responses.table, self.responses.by
        sides = table["side"].unique().sort().to_list()
        if len(sides) < 2:
            return None
        labels = learned.model.label(self.responses.pool.texts)
        for place, label in zip(known.tolist(), learned.hand["strategy"], strict=True):
            labels[place] = label
        whole = counts_of(table, labels)
        counts = [tally(whole.filter(side=side), by, side) for side in (sides[0], sides[-1])]
        _, error = learned.measured(counts, (sides[0], sides[-1]), LEVEL)
        random = int((learned.hand["asked"] == RANDOM).sum())
        return settling(pair(counts[0], counts[1], by), error, random, self.seed)
