"""What is made ahead comes in order, at most one thing early, and an error comes in its turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stratagem.records import StratagemError
from stratagem.stats.ahead import ahead


def test_the_same_things_in_the_same_order() -> None:
    assert list(ahead(iter(range(1, 100)))) == list(range(1, 100))
    assert list(ahead(iter(()))) == []


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def series() -> Iterator[int]:
        yield 1
        yield 2
        raise StratagemError("log.jsonl: row 3: no response")

    numbers = ahead(series())
    assert [next(numbers), next(numbers)] == [1, 2]
    with pytest.raises(StratagemError, match="row 3"):
        next(numbers)


def test_one_at_most_is_made_before_it_is_asked_for() -> None:
    made: list[int] = []

    def series() -> Iterator[int]:
        for number in range(1, 10):
            made.append(number)
            yield number

    for number in ahead(series()):
        assert len(made) <= number + 1
        if number == 3:
            break
    assert len(made) <= 4
