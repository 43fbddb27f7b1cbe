"""Texts as numbers: what the problem brings is taken out."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.visible import features
from stratagem.visible.features import MAX_CHARACTERS, forms, shortened, wording, words


def words_of(text: str, prompt: str = "") -> list[str]:
    return words([text], [prompt])["word"].to_list()


def test_numbers_letters_and_the_words_of_the_prompt_are_no_wording() -> None:
    prompt = "How many apples has Ann?"
    expected = ["so", "P", "N", "P", ",", "V", "=", "N", "."]
    assert words_of("So Ann has 3.5 apples, x = 12.", prompt) == expected
    table = words(["x y apples", "", "apples"], [prompt, prompt, "Other?"])
    assert table.rows() == [(0, "V"), (0, "P"), (2, "apples")]


@given(st.text(max_size=200), st.integers(0, 9))
def test_other_digits_are_the_same_words(text: str, digit: int) -> None:
    other = re.sub("[0-9]", str(digit), text)
    assert words_of(other) == words_of(text)


@given(st.lists(st.text(max_size=30), max_size=5))
def test_a_text_s_words_do_not_hang_on_its_neighbours(texts: list[str]) -> None:
    table = words(texts, [""] * len(texts))
    for place, text in enumerate(texts):
        assert table.filter(response=place)["word"].to_list() == words_of(text)


def test_long_texts_keep_their_start_and_end() -> None:
    text = "a" * 5_000 + "z" * 5_000
    table = pl.DataFrame({"text": [text[:MAX_CHARACTERS], text]})
    whole, cut = table.select(shortened(pl.col("text")))["text"].to_list()
    assert whole == text[:MAX_CHARACTERS]
    assert cut.count("a") == MAX_CHARACTERS * 2 // 3
    assert cut.endswith("z" * (MAX_CHARACTERS // 3))


def test_forms_of_the_answer() -> None:
    assert forms([r"\boxed{3}", "<answer>3", "3"])[:, :2].tolist() == [[1, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize("dense", [True, False])
def test_components_are_those_of_the_whole_table_less_the_problems_means(
    dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "DENSE", 600 if dense else 0)
    rng = np.random.default_rng(0)
    vocabulary = [
        "we",
        "so",
        "let",
        "thus",
        "then",
        "now",
        "if",
        "else",
        "case",
        "try",
        "check",
        "add",
        "take",
        "sum",
    ]
    home = np.repeat(np.arange(20), 4)
    texts = [" ".join(rng.choice(vocabulary, 15)) for _ in home]
    made = wording(texts, ["prompt"] * len(texts), home, 5)
    table = made.tfidf_rt.toarray()
    means = np.array([table[home == p].mean(axis=0) for p in range(20)])
    _, size, right = np.linalg.svd(table - means[home], full_matrices=False)
    assert np.abs(made.scores_rd).max() > 0.1
    for d in range(5):
        expected = (table - means[home]) @ right[d]
        assert np.allclose(np.abs(made.scores_rd[:, d]), np.abs(expected), atol=1e-6), d
    assert np.allclose(np.linalg.norm(made.scores_rd, axis=0), size[:5])
    assert "we so" in made.terms or "so we" in made.terms
