"""Near-duplicates: shares of common runs of words are estimated well, and only what may be one is taken for one."""

from __future__ import annotations

import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.curation.demonstrations.near import available, check_available, doubles, repeats, signatures
from stratagem.records import StratagemError

needs_library = pytest.mark.skipif(not available(), reason="needs the near extra")


def runs(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[i : i + 3]) for i in range(max(len(words) - 2, 1))} if words else set()


def jaccard(first: str, second: str) -> float:
    a, b = runs(first), runs(second)
    return len(a & b) / len(a | b)


def text(rng: np.random.Generator, words: int = 120) -> list[str]:
    return [f"w{i}" for i in rng.integers(0, 5000, words)]


@needs_library
def test_the_share_of_common_runs_is_estimated() -> None:
    rng = np.random.default_rng(0)
    pairs: list[str] = []
    for changed in range(40):
        first = text(rng)
        second = list(first)
        for place in rng.integers(0, len(first), changed):
            second[place] = "other"
        pairs += [" ".join(first), "\n".join(second).upper()]
    signed, words = signatures(pl.Series(pairs))
    assert words.tolist() == [120] * 80
    said = (signed[::2] == signed[1::2]).mean(axis=1)
    true = np.array([jaccard(a, b) for a, b in zip(pairs[::2], pairs[1::2], strict=True)])
    assert np.abs(said - true).max() < 0.16  # 128 numbers: a standard error of .044 at a half
    assert abs((said - true).mean()) < 0.02


@needs_library
@pytest.mark.parametrize(("changed", "least", "most"), [(4, 0.97, 1), (7, 0.4, 0.8), (11, 0, 0.03)])
def test_how_many_are_found(changed: int, least: float, most: float) -> None:
    """Of pairs that share 89, 81 and 71% of their runs, as docs/curation.md says."""
    rng = np.random.default_rng(0)
    pairs: list[str] = []
    for _ in range(200):
        first = text(rng, 200)
        second = list(first)
        for place in rng.choice(np.arange(3, 196, 5), changed, replace=False):
            second[place] = "other"
        pairs += [" ".join(first), " ".join(second)]
    signed, words = signatures(pl.Series(pairs))
    same = np.zeros(len(pairs), np.int64)
    assert least <= (doubles(signed, words, same, same, 0.8)[1::2] >= 0).mean() <= most


@needs_library
def test_short_and_empty_texts_are_told_apart() -> None:
    signed, words = signatures(pl.Series(["", "yes", "no", "yes it", "yes", "yes it is", None]))
    assert words.tolist() == [0, 1, 1, 2, 1, 3, 0]
    same = [(signed[1] == signed[i]).mean() for i in range(7)]
    assert same[4] == 1
    assert max(same[2], same[3], same[5]) < 0.2


@needs_library
def test_only_one_strategy_and_long_texts_or_one_problem() -> None:
    rng = np.random.default_rng(1)
    long = text(rng)
    texts = pl.Series(
        [" ".join(long), " ".join([*long[:-1], "end"]), "the answer is 4", "the answer is 4"] * 2
    )
    signed, words = signatures(texts)
    problem = np.arange(8)
    strategy = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert doubles(signed, words, problem, strategy, 0.8).tolist() == [-1, 0, -1, -1, -1, 4, -1, -1]
    assert doubles(signed, words, problem * 0, strategy, 0.8).tolist() == [-1, 0, -1, 2, -1, 4, -1, 6]
    assert doubles(signed, words, problem * 0, strategy * 0, 0.999)[[4, 5]].tolist() == [0, 1]


@needs_library
def test_a_chain_of_near_duplicates_is_one_family() -> None:
    rng = np.random.default_rng(2)
    chain = [text(rng, 200)]
    for step in range(6):
        chain.append(list(chain[-1]))
        chain[-1][30 * step : 30 * step + 6] = [f"new{step}{i}" for i in range(6)]
    texts = [" ".join(words) for words in chain]
    assert jaccard(texts[0], texts[1]) > 0.9
    assert jaccard(texts[0], texts[-1]) < 0.7
    signed, words = signatures(pl.Series(texts))
    same = np.zeros(len(texts), np.int64)
    assert doubles(signed, words, same, same, 0.8).tolist() == [-1, *[0] * 6]


@needs_library
@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=6).map(" ".join), min_size=1, max_size=12))
def test_a_double_stands_later_and_its_first_is_none(texts: list[str]) -> None:
    signed, words = signatures(pl.Series(texts, dtype=pl.String))
    same = np.zeros(len(texts), np.int64)
    first = doubles(signed, words, same, same, 0.9)
    for row, other in enumerate(first.tolist()):
        assert other < row
        assert other < 0 or first[other] == -1
        equal = [i for i in range(row) if texts[i].split() == texts[row].split()]
        assert not equal or other >= 0


def test_repeats_are_of_the_same_problem() -> None:
    problem = np.array([0, 0, 1, 0, 1])
    assert repeats(problem, np.array([7, 7, 7, 8, 7], np.uint64)).tolist() == [-1, 0, -1, -1, 2]


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    assert not available()
    with pytest.raises(StratagemError, match=r"needs rensa: pip install 'stratagem\[near\]'"):
        check_available()
