"""How far a proposal goes with what is no strategy: the data set, the length of a response, the form of its answer, and
how its mathematics and its headings are set."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import polars as pl

from stratagem.discovery.space import Ints
from stratagem.stats.pairs import Floats
from stratagem.visible.features import FORMS, forms

MARK = 0.5  # of a proposal's variance; from here on it is marked
LENGTHS = 10  # classes of equal numbers of responses
NOTATION = tuple(
    map(re.compile, (r"\\\(", r"\\\[", r"\$[^$\n]+\$", r"\\frac|\{", r"\*\*", r"(?m)^\s*(?:#|[-*•] |\d+\. )"))
)


def followed(table: pl.DataFrame, by: Sequence[str], group_r: Ints) -> list[dict[str, float]]:
    """Of each proposal, the share of the variance of belonging to it that goes with each of these.

    Args:
        table: key, completion and the columns `by` of the strata.
        group_r: the proposal of each response.
    """
    length = table["completion"].str.len_chars()
    texts = table["completion"].to_list()
    classes = {
        "data set" if by else "problem": table.select(pl.struct(by or ("key",)).rank("dense")).to_series(),
        "length": (length.rank("average") * LENGTHS / (table.height + 1)).floor(),
        "answer form": pl.Series(forms(texts) @ 2.0 ** np.arange(len(FORMS))),
        "notation": pl.Series(
            [sum(2**i * bool(p.search(text)) for i, p in enumerate(NOTATION)) for text in texts]
        ),
    }
    return [
        {
            what: explained((group_r == group).astype(np.float64), series.to_numpy())
            for what, series in classes.items()
        }
        for group in range(int(group_r.max()) + 1)
    ]


def explained(value_r: Floats, class_r: Ints) -> float:
    """The share of a variance that lies between classes, 0 to 1, less what chance puts there.

    Source: epsilon squared, Kelley 1935, Proceedings of the National Academy of Sciences 21, 554.
    """
    class_r = np.unique(class_r, return_inverse=True)[1]
    size_c = np.bincount(class_r).astype(np.float64)
    mean_c = np.bincount(class_r, value_r) / size_c
    inside = float(((value_r - mean_c[class_r]) ** 2).sum()) / max(len(value_r) - len(size_c), 1)
    whole = float(value_r.var(ddof=1))
    return float(np.clip(1 - inside / whole, 0.0, 1.0)) if whole > 0 else 0.0
