"""Which prompts an update of RL asks: at random, by pools of difficulty, or where a group most probably has signal.

A group of G responses to one prompt teaches GRPO nothing where all of them are right or all are wrong. With pass rate
p it has signal with chance 1 - p^G - (1 - p)^G. `Frontier` holds a Beta posterior of every prompt's pass rate, whose
counts fade since the model changes; it draws a pass rate from each and asks the prompts that would have most signal at
these rates (Thompson, Biometrika 1933), so that what is hardly known is tried too.

A draw's randomness comes from (seed, update, attempt) and from what was observed before, so that processes with the
same observations draw the same prompts, and a run that resumes from `state` goes on with the same ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stratagem.records import StratagemError

SamplerName = Literal["random", "dapo", "frontier", "dapo-frontier", "pools"]
Floats = NDArray[np.float64]
State = Mapping[str, Sequence[float]]

LIKE_ALL = 2.0  # the pass rate of all prompts counts as so many responses in each stratum
# The correlation of two responses to one prompt, beyond what its stratum says, where nothing is known, as if it had
# been learnt from so many prompts; and its limits.
CORRELATION, LEARNT_FROM, LIMITS = 0.2, 10, (0.02, 0.95)


def signal(pass_rates: ArrayLike, group: int) -> Floats:
    """The chance that a group of `group` responses holds right and wrong ones, at each pass rate."""
    p = np.asarray(pass_rates, dtype=np.float64)
    return 1 - p**group - (1 - p) ** group


def in_epochs(seed: int, prompts: int, batch: int, first: int, size: int) -> list[int]:
    """Prompts `first` to `first + size` of an endless order: each once an epoch, in an order of the epoch's own.

    An epoch is as many whole batches as there are prompts for.
    """
    length = prompts // batch * batch
    order: list[int] = []
    while len(order) < size:
        epoch, start = divmod(first + len(order), length)
        whole = np.random.default_rng([seed, 1, epoch]).permutation(prompts)
        order += whole[start : min(length, start + size - len(order))].tolist()
    return order


class Sampler(ABC):
    """Draws prompts, by number, and is told how their responses did."""

    @abstractmethod
    def draw(self, update: int, size: int, attempt: int = 0, without: Sequence[int] = ()) -> list[int]:
        """The prompts of an update, at most `size`.

        Args:
            attempt: 0, then 1, 2, … where flat groups of the same update are drawn anew.
            without: prompts that this update has asked already.
        """

    @abstractmethod
    def observe(self, update: int, asked: Sequence[int], right: Sequence[float], responses: int) -> None:
        """Take in how many of `responses` responses to each prompt were right; rewards in [0, 1] count in part."""

    @abstractmethod
    def state(self) -> State:
        """All that later draws depend on, as numbers that JSON holds."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Take a `state` back.

        Raises:
            StratagemError: it is none of this sampler's.
        """


class Random(Sampler):
    """Each prompt once an epoch. An update asks `batch` prompts at least, which tells where it begins."""

    def __init__(self, prompts: int, batch: int, seed: int) -> None:
        self.prompts, self.batch, self.seed = prompts, batch, seed
        self.drawn = 0

    def draw(self, update: int, size: int, attempt: int = 0, without: Sequence[int] = ()) -> list[int]:
        """The next prompts, whatever the update has asked."""
        first = max(self.drawn, update * self.batch)
        self.drawn = first + size
        return in_epochs(self.seed, self.prompts, self.batch, first, size)

    def observe(self, update: int, asked: Sequence[int], right: Sequence[float], responses: int) -> None:
        """Nothing that was observed matters."""

    def state(self) -> State:
        return {"drawn": [self.drawn]}

    def restore(self, state: State) -> None:
        (drawn,) = columns(state, "drawn")
        self.drawn = int(drawn[0])


class Pools(Sampler):
    """The pools of prime-rl's DifficultyPoolSampler (its pull request 3261): by a prompt's latest group, a pass rate up
    to a quarter has the weight .2, up to three quarters 1, above that .2; prompts that were never asked have 1.

    prime-rl draws with replacement; here an update asks a prompt once.
    """

    def __init__(self, prompts: int, seed: int) -> None:
        self.seed = seed
        self.latest = np.full(prompts, np.nan)

    def draw(self, update: int, size: int, attempt: int = 0, without: Sequence[int] = ()) -> list[int]:
        weight = np.where((self.latest <= 0.25) | (self.latest > 0.75), 0.2, 1.0)
        rng = np.random.default_rng([self.seed, 2, update, attempt])
        return smallest(keys(rng, weight, without), size)

    def observe(self, update: int, asked: Sequence[int], right: Sequence[float], responses: int) -> None:
        self.latest[list(asked)] = np.asarray(right) / responses

    def state(self) -> State:
        seen = np.flatnonzero(~np.isnan(self.latest))
        return {"prompts": seen.tolist(), "latest": self.latest[seen].tolist()}

    def restore(self, state: State) -> None:
        seen, latest = columns(state, "prompts", "latest")
        self.latest[:] = np.nan
        self.latest[within(seen, len(self.latest))] = latest


class Frontier(Sampler):
    """Asks for expected signal.

    Args:
        prompts: how many there are.
        group: responses to a prompt in an update.
        strata: the number of each prompt's stratum, 0, 1, …, such as its difficulty: what is not known of a prompt is
            taken from those like it. None: all are alike.
        kinds: the number of each prompt's kind, 0, 1, …: every draw has as large a share of each kind as the pool has.
            Signal alone follows the kind that has more of it, and RL then moves the model to that kind's strategy
            (docs/samplers.md). None: kinds are not told apart.
        explore: share of an update drawn without regard to signal, so that no prompt is given up for good.
        floor: of the rest, the least share from the easier prompts: expected to be right half of the time or more, or
            in the easier half of all. Drawing for the hardest alone can break a run (LOG.md). Both shares are of many
            draws: in each they are rounded up or down at random.
        half_life: updates after which a response counts half.
    """

    def __init__(
        self,
        prompts: int,
        group: int,
        *,
        seed: int,
        strata: Sequence[int] | None = None,
        kinds: Sequence[int] | None = None,
        explore: float = 0.1,
        floor: float = 0.25,
        half_life: float = 30,
    ) -> None:
        self.group, self.seed = group, seed
        self.explore, self.floor, self.half_life = explore, floor, half_life
        self.strata = np.zeros(prompts, np.int64) if strata is None else np.asarray(strata, np.int64)
        self.kinds = np.zeros(prompts, np.int64) if kinds is None else np.asarray(kinds, np.int64)
        self.right, self.wrong = np.zeros(prompts), np.zeros(prompts)
        self.squares = np.zeros(prompts)  # the sum of the squared weights of a prompt's responses, which fade
        self.updated = 0  # the update that the counts are of

    def posterior(self) -> tuple[Floats, Floats]:
        """The two parameters of each prompt's Beta distribution.

        Before its own counts, a prompt has the mean of its stratum, and as much spread about it as prompts are seen to
        have: by the method of moments, with equal weights, for the correlation of responses to one prompt (Ridout,
        Demetrio and Firth, Biometrics 55, 1999). So a pool of hopeless and solved prompts is taken for what it is.
        With weights w, sum n, and correlation r, the weighted sum of what was right has the variance
        p (1 - p) (sum w^2 + r (n^2 - sum w^2)).
        """
        right, wrong = (
            np.bincount(self.strata, counts, self.strata.max() + 1) for counts in (self.right, self.wrong)
        )
        overall = (right.sum() + 1) / (right.sum() + wrong.sum() + 2)
        mean = ((right + LIKE_ALL * overall) / (right + wrong + LIKE_ALL))[self.strata]
        responses = self.right + self.wrong
        several = responses >= 2
        n, squares, p = responses[several], self.squares[several], mean[several]
        each = ((self.right[several] - n * p) ** 2 / (p * (1 - p)) - squares) / (n**2 - squares)
        correlation = (each.sum() + LEARNT_FROM * CORRELATION) / (len(each) + LEARNT_FROM)
        strength = 1 / min(max(correlation, LIMITS[0]), LIMITS[1]) - 1
        return self.right + strength * mean, self.wrong + strength * (1 - mean)

    def draw(self, update: int, size: int, attempt: int = 0, without: Sequence[int] = ()) -> list[int]:
        rng = np.random.default_rng([self.seed, 3, update, attempt])
        a, b = self.posterior()
        ties = 1e-9 * rng.random(len(a))  # prompts that are surely flat are all alike
        lacking = 1 - signal(rng.beta(a, b), self.group) + ties
        lacking[list(without)] = np.inf
        size = min(size, int(np.isfinite(lacking).sum()))
        chosen: list[int] = []
        for kind, part in enumerate(divided(rng, size, np.bincount(self.kinds))):
            chosen += self._of_kind(rng, lacking, a / (a + b), self.kinds == kind, part)
        lacking[chosen] = np.inf
        return chosen + smallest(lacking, size - len(chosen))  # where a kind has too few

    def _of_kind(
        self, rng: np.random.Generator, lacking: Floats, mean: Floats, members: NDArray[np.bool_], size: int
    ) -> list[int]:
        """At most `size` of the members that may be drawn: some at random, some easy ones, the rest by `lacking`."""
        lacking = np.where(members, lacking, np.inf)
        drawable = np.isfinite(lacking)
        size = min(size, int(drawable.sum()))
        key = np.where(drawable, keys(rng, np.ones(len(mean)), ()), np.inf)
        chosen = smallest(key, rounded(rng, self.explore * size))
        lacking[chosen] = np.inf
        easy = mean >= min(0.5, float(np.median(mean[members])))
        least = rounded(rng, self.floor * (size - len(chosen)))
        chosen += smallest(np.where(easy, lacking, np.inf), least)
        lacking[chosen] = np.inf
        return chosen + smallest(lacking, size - len(chosen))

    def observe(self, update: int, asked: Sequence[int], right: Sequence[float], responses: int) -> None:
        share = 0.5 ** (max(0, update - self.updated) / self.half_life)
        self.right *= share
        self.wrong *= share
        self.squares *= share**2
        self.updated = max(update, self.updated)
        # A prompt may be asked twice in an update.
        np.add.at(self.right, list(asked), np.asarray(right, np.float64))
        np.add.at(self.wrong, list(asked), responses - np.asarray(right, np.float64))
        np.add.at(self.squares, list(asked), responses)

    def state(self) -> State:
        seen = np.flatnonzero(self.right + self.wrong)
        return {
            "updated": [self.updated],
            "prompts": seen.tolist(),
            "right": self.right[seen].tolist(),
            "wrong": self.wrong[seen].tolist(),
            "squares": self.squares[seen].tolist(),
        }

    def restore(self, state: State) -> None:
        updated, seen, right, wrong, squares = columns(
            state, "updated", "prompts", "right", "wrong", "squares"
        )
        rows = within(seen, len(self.right))
        self.updated = int(updated[0])
        self.right[:], self.wrong[:], self.squares[:] = 0.0, 0.0, 0.0
        self.right[rows], self.wrong[rows], self.squares[rows] = right, wrong, squares


def divided(rng: np.random.Generator, size: int, counts: NDArray[np.int64]) -> list[int]:
    """`size` in proportion to the counts, each part rounded up or down at random so that its mean is its share."""
    if len(counts) == 1:
        return [size]
    ends = np.floor(counts.cumsum() / counts.sum() * size + rng.random()).astype(np.int64)
    return np.diff(ends, prepend=0).tolist()


def rounded(rng: np.random.Generator, number: float) -> int:
    """Up or down at random, so that the mean is `number`."""
    return int(number) + (rng.random() < number % 1)


def keys(rng: np.random.Generator, weight: Floats, without: Sequence[int]) -> Floats:
    """A number for each prompt, of which the smallest are a draw without replacement in proportion to the weights
    (Efraimidis and Spirakis, Information Processing Letters 97, 2006); infinite where it may not be drawn."""
    key = rng.standard_exponential(len(weight)) / weight
    key[list(without)] = np.inf
    return key


def smallest(key: Floats, size: int) -> list[int]:
    """The prompts with the smallest keys, in their order; fewer than `size` where fewer are finite."""
    size = min(size, int(np.isfinite(key).sum()))
    if size == 0:
        return []
    part = np.argpartition(key, size - 1)[:size]
    return part[np.argsort(key[part], kind="stable")].tolist()


def columns(state: State, *names: str) -> list[Floats]:
    """The named parts of a state as numbers."""
    try:
        return [np.asarray(state[name], np.float64) for name in names]
    except (KeyError, TypeError, ValueError):
        raise StratagemError(
            f"a sampler's state needs {', '.join(names)}: it is another sampler's or an earlier version's"
        ) from None


def within(seen: Floats, prompts: int) -> NDArray[np.int64]:
    """Numbers of prompts as a state holds them."""
    rows = seen.astype(np.int64)
    if len(rows) and not 0 <= rows.min() <= rows.max() < prompts:
        raise StratagemError(f"a sampler's state is of other prompts than these {prompts:,}")
    return rows
