"""Long responses cut into attempts: traces of known cuts, and what holds of any text."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.labelling.attempts import attempts
from stratagem.labelling.rules import label_frame, read_rules
from tests.labelling import reference


def cut(text: str | None, turns: tuple[str, ...] = ()) -> list[str] | None:
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    return frame.select(attempts(pl.col("text"), turns)).to_series().to_list()[0]


# Each a list of attempts as they should be cut.
TRACES = (
    ["He has 3 + 4 = 7 apples."],
    [
        "<think>3 + 4 = 7. ",
        "Wait, that is per day. So 7 * 5 = 35. ",
        "Hmm, but he eats 2: 35 - 2 = 33.\n</think>\n33",
    ],
    ["3 + 4 = 7.\n\n", "Alternatively, let x be the number. x = 7."],
    # The write-up behind the reasoning is an attempt if it calculates.
    ["<think>3 * 5 = 15", "</think>\n**Solution.** 3 \\times 5 = 15 \\boxed{15}"],
    ["<think>3 * 5 = 15</think>\nThe answer is fifteen."],
    # A turn before anything is calculated begins no other attempt, nor does one that a check follows.
    ["Wait, let me read that again. Hmm. Let me try: 3 + 4 = 7."],
    ["3 + 4 = 7. Wait, let me double-check. 4 + 3 = 7. Hold on, I should verify that: 7 - 3 = 4."],
    ["3 + 4 = 7. Wait, let me double-check. 4 + 3 = 7. ", "Wait, he has 2 more. 7 + 2 = 9."],
    # Turns without a calculation of their own go with the next one, at the end with the one before.
    ["3 + 4 = 7. ", "Hmm. Wait. Let me start over.\n3 * 4 = 12. Hmm."],
    ["x = 3... ", "no, wait, x = 4. ", "But wait, 3 is odd, so x = 5"],
    ["- 3 + 4 = 7\n- **", "Wait**, 3 * 4 = 12\n\n", "Another way: 4 * 3 = 12"],
    # Other marks of the end of the reasoning, and a calculation with names alone.
    ["<|begin_of_thought|>3 * 5 = 15", "<|end_of_thought|><|begin_of_solution|>3 \\times 5 = 15"],
    ["f(-x) = -f(x), so f is odd. ", "Let me consider another way. g(x) = g(-x)."],
    # Doubts and remarks, and trying a step of the same way.
    [
        "3 * 4 = 12. Wait, but 12 is even. Wait a minute, that's interesting: 12 = 3 * 4. Wait, is that all? x = 12"
    ],
    [
        "3 + 4 = 7. Let's try x = 7 in the first equation: 7 - 4 = 3. ",
        "Let me try a different way: 4 + 3 = 7",
    ],
    # Words that are no turns.
    ["They wait for 3 + 4 = 7 minutes. The waiter waits 2 * 3 = 6 more. He is actually 9 = 3 * 3 years old."],
    ["Waiting takes 3 + 4 = 7 minutes. Wait times of 2 * 3 = 6 minutes add up."],
)


@pytest.mark.parametrize("pieces", TRACES, ids=lambda pieces: pieces[-1][:30])
def test_traces_are_cut_where_a_reader_would(pieces: list[str]) -> None:
    assert cut("".join(pieces)) == pieces
    assert cut(None) is None


def test_words_of_ones_own_take_the_place_of_the_usual_ones() -> None:
    text = "1 + 1 = 2. Wait, 1 + 2 = 3. Nochmal: 2 + 2 = 4"
    assert cut(text, ("Nochmal",)) == ["1 + 1 = 2. Wait, 1 + 2 = 3. ", "Nochmal: 2 + 2 = 4"]


WORDS = (
    *(
        "Wait, ",
        "wait",
        "Hmm. ",
        "Alternatively, ",
        "Let me try ",
        "let me check",
        "I should verify ",
        "Another way",
    ),
    *(
        "</think>",
        "<think>",
        "3 + 4 = 7",
        " = ",
        "x",
        "7",
        ". ",
        "\n",
        "- ",
        "**",
        "(",
        "…",
        "So let me start over",
    ),
    *("\ufdd0", "\ufdd1"),
)
texts = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=4)), max_size=14).map("".join)


@settings(max_examples=300, deadline=None)
@given(texts)
def test_attempts_partition_the_text_and_are_not_cut_again(text: str) -> None:
    pieces = cut(text)
    assert pieces is not None
    assert "".join(pieces) == text
    assert pieces == reference.attempts(text)
    if "\ufdd0" not in text and "\ufdd1" not in text:
        assert [cut(piece) for piece in pieces] == [[piece] for piece in pieces]


@given(st.text(alphabet="0123456789=+*. \nabcxyz", max_size=60))
def test_a_text_without_turns_is_one_attempt(text: str) -> None:
    assert cut(text) == [text]


def test_an_attempt_is_labelled_and_what_lies_between_them_is_counted() -> None:
    chain, parts = "3 * 4 = 12. 12 + 1 = 13. ", "2 * 3 = 6. 2 * 5 = 10. 6 + 10 = 16. "
    tried = [
        (chain, "chain", set[str]()),
        (f"{chain}Wait, {parts}", "parts", {"several_attempts", "switches_strategy"}),
        (f"{parts}Hmm, {chain}", "chain", {"several_attempts", "switches_strategy"}),
        (f"{chain}Hmm, {chain}", "chain", {"several_attempts"}),
        (
            f"{chain}Wait, {parts}Alternatively, {chain}Hmm, {chain}",
            "chain",
            {"several_attempts", "many_attempts", "switches_strategy", "returns_to_strategy"},
        ),
    ]
    frame = pl.DataFrame({"completion": [f"<think>{text}</think><answer>1</answer>" for text, *_ in tried]})
    labelled = label_frame(frame, read_rules("word-problems"))
    counted = {"several_attempts", "many_attempts", "switches_strategy", "returns_to_strategy"}
    for (_, strategy, behaviours), row in zip(tried, labelled.iter_rows(named=True), strict=True):
        assert row["strategy"] == strategy
        assert set(row["behaviours"]) & counted == behaviours
