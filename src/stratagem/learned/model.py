"""The model that learns strategies from labelled responses: multinomial logistic regression on their features."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stratagem.learned.features import Scale, Texts
from stratagem.records import StratagemError, content_id
from stratagem.stats.pairs import Floats

PENALTY = 1 / 100  # the ridge, as in scikit-learn's C = 100
FOLDS = 10
FEWEST = 2  # labels of a strategy without which the model does not give it


@dataclass(frozen=True)
class Model:
    """A fitted model.

    Attributes:
        names: the strategies that it can give, sorted.
        weight_ts: of each feature for each strategy; the last feature is length.
        start_s: intercepts.
    """

    names: tuple[str, ...]
    scale: Scale
    weight_ts: Floats
    start_s: Floats

    def probabilities(self, texts: Texts) -> Floats:
        """P(strategy) of each response (r x s)."""
        if not len(texts):
            return np.zeros((0, len(self.names)))
        score_rs = self.scale.features(texts) @ self.weight_ts + self.start_s
        odds_rs = np.exp(score_rs - score_rs.max(axis=1, keepdims=True))
        return odds_rs / odds_rs.sum(axis=1, keepdims=True)

    def label(self, texts: Texts) -> list[str]:
        """The likeliest strategy of each response."""
        return [self.names[i] for i in self.probabilities(texts).argmax(axis=1)]

    @property
    def fingerprint(self) -> str:
        """Of all that decides a label; weights to nine digits, since machines differ in the last ones."""
        weights = [f"{x:.9g}" for x in (*self.weight_ts.ravel(), *self.start_s)]
        return content_id("learned", *self.names, *self.scale.terms, *weights)


def fit(texts: Texts, labels: Sequence[str]) -> Model:
    """Fit to labelled responses.

    Raises:
        StratagemError: fewer than two strategies have two labels each, or scikit-learn is not there.
    """
    count = {name: labels.count(name) for name in sorted(set(labels))}
    names = tuple(name for name, n in count.items() if n >= FEWEST)
    if len(names) < 2:
        raise StratagemError(
            "too few labels to learn from: at least two strategies need two labelled responses each; there are "
            + (", ".join(f"{n} of {name!r}" for name, n in count.items()) or "none")
        )
    rows = np.flatnonzero([label in names for label in labels])
    texts, labels = texts.of(rows), [labels[i] for i in rows.tolist()]
    scale = Scale.fit(texts)
    regression = _regression()(C=1 / PENALTY, max_iter=2000, tol=1e-3)
    regression.fit(scale.features(texts), np.array(labels))
    weight_st, start_s = np.asarray(regression.coef_), np.asarray(regression.intercept_)
    if len(names) == 2:  # scikit-learn keeps the second's alone
        weight_st, start_s = (
            np.concatenate([np.zeros_like(weight_st), weight_st]),
            np.array([0.0, start_s[0]]),
        )
    return Model(names, scale, weight_st.T.copy(), start_s)


def out_of_fold(texts: Texts, labels: Sequence[str], seed: int = 0) -> list[str]:
    """The strategy of each labelled response by a model that has not seen its label.

    Responses are dealt to ten folds strategy by strategy, so that each fit knows all that have labels enough.

    Raises:
        StratagemError: as `fit`.
    """
    given: list[str] = [""] * len(labels)
    fold_r = np.zeros(len(labels), dtype=np.int64)
    rng, dealt = np.random.default_rng(seed), 0
    for name in sorted(set(labels)):
        rows = rng.permutation(np.flatnonzero([label == name for label in labels]))
        fold_r[rows] = (dealt + np.arange(len(rows))) % FOLDS
        dealt += len(rows)
    fit(texts, labels)  # refuse what is too little as a whole
    for fold in range(FOLDS):
        held = np.flatnonzero(fold_r == fold)
        rest = np.flatnonzero(fold_r != fold)
        seen = [labels[i] for i in rest.tolist()]
        try:
            mine = fit(texts.of(rest), seen).label(texts.of(held))
        except StratagemError:  # one strategy alone is left with labels enough
            mine = [max(sorted(set(seen)), key=seen.count)] * len(held)
        for row, label in zip(held, mine, strict=True):
            given[row] = label
    return given


def _regression() -> Any:
    try:
        return importlib.import_module("sklearn.linear_model").LogisticRegression
    except ModuleNotFoundError:
        raise StratagemError("learning labels needs scikit-learn: pip install 'stratagem[learn]'") from None
