"""What `curation.json` holds of a choice of demonstrations, as types."""

from __future__ import annotations

import msgspec

from stratagem.records import Estimate, Real, Result


class StrategyFacts(Result, frozen=True, kw_only=True):
    """A strategy among some demonstrations, and what share of those with a strategy it has."""

    name: str
    demonstrations: int
    share: Real


class SetFacts(Result, frozen=True, kw_only=True):
    """Some demonstrations.

    Attributes:
        problems: that they are of; several: those with two demonstrations or more; ways: those shown in two strategies
            or more.
        effective: the effective number of strategies (`diversity.effective_number`), with its interval over problems.
        within: the mean of that number over problems with two demonstrations or more.
        unnamed: the share that shows no strategy by name: mixed, other.
        difficulty, quality: means, where they are numbers; null elsewhere.
    """

    demonstrations: int
    problems: int
    several: int
    ways: int
    effective: Estimate
    within: Real
    unnamed: Real
    strategies: tuple[StrategyFacts, ...]
    words: Real
    difficulty: Real
    quality: Real


class KindFacts(Result, frozen=True, kw_only=True):
    """A type of problem: all of its demonstrations that may be taken, those chosen, and those of the control."""

    name: str
    everything: SetFacts
    chosen: SetFacts | None
    control: SetFacts | None


class Missing(Result, frozen=True, kw_only=True):
    """A strategy that hardly any demonstration of a type shows.

    Attributes:
        wanted: how many more would give it as many as the others; asked: for how many prompts it is to be asked for;
            written: for how many the task has demonstrated it.
    """

    kind: str
    strategy: str
    demonstrations: int
    share: Real
    wanted: int
    asked: int
    written: int


class Dropped(Result, frozen=True, kw_only=True):
    """How many demonstrations are not taken, by reason. `enough`: their strategy has all that it is to have."""

    held_out: int
    wrong: int
    unread: int
    repeat: int
    near_duplicate: int
    enough: int


class DemonstrationCuration(Result, frozen=True, kw_only=True):
    """What an SFT set shows, and which of its demonstrations were chosen.

    Attributes:
        labels: where strategies come from; cover: those that are to be shown equally often.
        everything: all that may be taken: without what is held out, wrong, unread, or a duplicate.
        chosen, control: None without a size. The chosen hold those that were `written`.
        weighted: the effective number of strategies by weight; ess: how many demonstrations of equal weight tell as
            much (Kish); both null without weights.
        files: what was written, by what it is; inputs: SHA-256 of every file read.
    """

    data: str
    demonstrations: int
    labels: str
    near: Real
    level: float
    by: tuple[str, ...]
    cover: tuple[str, ...]
    everything: SetFacts
    chosen: SetFacts | None
    control: SetFacts | None
    kinds: tuple[KindFacts, ...]
    missing: tuple[Missing, ...]
    dropped: Dropped
    written: int
    shared: int
    weighted: Real
    ess: Real
    files: dict[str, str]
    inputs: dict[str, str]
    notes: tuple[str, ...]


def decode(data: bytes) -> DemonstrationCuration:
    """What a `curation.json` of demonstrations says.

    Raises:
        msgspec.ValidationError: it is no such file; the message names the field.
    """
    return msgspec.json.decode(data, type=DemonstrationCuration)
