"""Which words of a response speak for its label, cut out so that a page can mark them."""

from __future__ import annotations

import re

import numpy as np

from stratagem.learned.features import Texts
from stratagem.learned.model import Model
from stratagem.visible.features import LETTER, NUMBER, OWN

TERMS = 6  # that are marked
ANY = {NUMBER: r"\d+(?:[.,]\d+)*", LETTER: r"[^\W\d_]", OWN: r"[^\W\d_]{2,}"}
Piece = tuple[str, bool]


def telling_terms(model: Model, texts: Texts, strategy: str) -> list[str]:
    """The terms of one response that speak most for a strategy, against the mean of the others; the strongest first."""
    if strategy not in model.names:
        return []
    place = model.names.index(strategy)
    lead_t = (model.weight_ts[:, place] - model.weight_ts.mean(axis=1))[:-1]
    shown = model.scale.features(texts).toarray()[0, :-1] * lead_t
    best = [i for i in np.argsort(-shown) if shown[i] > 0]
    words = [model.scale.terms[i] for i in best]
    return [term for term in words if any(len(word) > 1 for word in term.split())][:TERMS]


def pieces(text: str, terms: list[str]) -> list[Piece]:
    """The text in pieces, each marked or not: wherever it shows one of the terms."""
    if not terms:
        return [(text, False)]
    patterns = [r"\s*".join(ANY.get(word, re.escape(word)) for word in term.split(" ")) for term in terms]
    bounded = "|".join(rf"(?<!\w){p}(?!\w)" if p[-1].isalpha() else p for p in patterns)
    marked: list[Piece] = []
    end = 0
    for match in re.finditer(bounded, text, re.IGNORECASE):
        if match.start() > end:
            marked.append((text[end : match.start()], False))
        marked.append((match.group(), True))
        end = match.end()
    return [*marked, (text[end:], False)] if end < len(text) or not marked else marked
