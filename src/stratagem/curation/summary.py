"""A choice of prompts in numbers: what is expected of it and of a random one, and what there is to know of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from stratagem.curation import reasons
from stratagem.curation.choose import Chosen
from stratagem.curation.pool import Pool
from stratagem.curation.profile import Bools, Ints, Profile
from stratagem.curation.reasons import Decided
from stratagem.curation.result import Curation, Dropped, LogFacts, Moves, PromptSet, StratumFacts
from stratagem.curation.settings import Settings
from stratagem.records import UNDEFINED, Estimate
from stratagem.verdict.wording import many

NOISES = {
    "halves": "what halves of the samples say of its noise",
    "normal": "the noise of normal rewards, since too few prompts have 4 samples",
    "assumed": "a guess, since too few prompts have 2 samples",
}


def summary(
    pool: Pool,
    settings: Settings,
    names: tuple[str, ...],
    home: Ints,
    chosen: Chosen,
    decision: Decided,
    now: Profile,
    earlier: Profile | None,
    eligible: Bools,
    logs: Sequence[LogFacts],
    again: Sequence[LogFacts],
    files: dict[str, str],
    notes: Sequence[str],
) -> Curation:
    """The result; without the names of the files that are still to be written."""
    seen = now.n > 0
    counts = now.n[seen]
    every = np.flatnonzero(eligible)
    return Curation(
        pool=pool.name,
        prompts=len(pool),
        eligible=int(eligible.sum()),
        with_rollouts=int(seen.sum()),
        samples=(int(counts.min()), float(np.median(counts)), int(counts.max())),
        measure="signal" if now.binary else "variance",
        group=settings.group,
        min_signal=settings.min_signal,
        sure=settings.sure,
        level=settings.level,
        by=settings.by,
        curriculum=settings.curriculum,
        logs=tuple(logs),
        again=tuple(again),
        strata=_strata(names, home, chosen, now, eligible, settings),
        everything=prompt_set(now, every, settings.level),
        chosen=prompt_set(now, chosen.rows, settings.level),
        control=prompt_set(now, chosen.control, settings.level),
        shared=len(np.intersect1d(chosen.rows, chosen.control)),
        dropped=Dropped(
            held_out=decision.count(reasons.HELD_OUT),
            duplicate=decision.count(reasons.DUPLICATE),
            no_rollouts=decision.count(reasons.UNSEEN),
            all_wrong=decision.count(reasons.WRONG),
            all_right=decision.count(reasons.RIGHT),
            flat=decision.count(reasons.FLAT),
            less=decision.count(reasons.LESS),
        ),
        moves=None if earlier is None else moves(earlier, now, eligible, settings.level),
        files={},
        inputs=files,
        notes=(*notes, *_notes(settings, names, chosen, decision, now, eligible)),
    )


def prompt_set(known: Profile, rows: Ints, level: float) -> PromptSet:
    """What is expected of some rows.

    The interval is of their mean under the posteriors: independent but for what is open about the spread of pass rates.
    """
    if not len(rows):
        return PromptSet(prompts=0, with_rollouts=0, signal=UNDEFINED, rate=float("nan"))
    value = float(known.signal[rows].mean())
    shared = 0.0 if known.parts is None else known.parts.variance(rows)
    se = float(np.sqrt(known.open[rows].sum() / len(rows) ** 2 + shared))
    reach = float(ndtri((1 + level) / 2)) * se
    top = 1.0 if known.binary else np.inf
    signal = Estimate(value, max(value - reach, 0.0), min(value + reach, top), se, len(rows))
    with np.errstate(invalid="ignore"):
        rates = known.mean[rows][~np.isnan(known.mean[rows])]
    return PromptSet(
        prompts=len(rows),
        with_rollouts=int((known.n[rows] > 0).sum()),
        signal=signal,
        rate=float(rates.mean()) if len(rates) else float("nan"),
    )


def moves(before: Profile, after: Profile, eligible: Bools, level: float) -> Moves:
    """Where prompts with rollouts of both lay and lie."""
    rows = np.flatnonzero(eligible & (before.n > 0) & (after.n > 0))
    was, is_now = before.regions()[rows], after.regions()[rows]
    counts = np.zeros((3, 3), np.int64)
    np.add.at(counts, (was, is_now), 1)
    first, second, third = (tuple(map(int, row)) for row in counts)
    return Moves(
        prompts=len(rows),
        counts=(first, second, third),  # type: ignore[arg-type]
        left=int(counts[1, 0] + counts[1, 2]),
        entered=int(counts[0, 1] + counts[2, 1]),
        before=prompt_set(before, rows, level),
        after=prompt_set(after, rows, level),
    )


def _strata(
    names: tuple[str, ...], home: Ints, chosen: Chosen, now: Profile, eligible: Bools, settings: Settings
) -> tuple[StratumFacts, ...]:
    there_g = np.bincount(home[eligible], minlength=len(names))
    taken_g = np.bincount(home[chosen.rows], minlength=len(names))
    seen_g = np.bincount(home[now.n > 0], minlength=len(names))
    made: list[StratumFacts] = []
    for g, name in enumerate(names):
        prior = now.priors[g] if now.priors else None
        fitted = {} if prior is None else {"mean": prior.mean, "alpha": prior.alpha, "beta": prior.beta}
        made.append(
            StratumFacts(
                name=name,
                prompts=int(there_g[g]),
                with_rollouts=int(seen_g[g]),
                chosen=int(taken_g[g]),
                share=float(taken_g[g] / max(taken_g.sum(), 1)),
                target=settings.target.get(name, float("nan")),
                spread="" if prior is None else prior.source,
                **fitted,
            )
        )
    return tuple(made)


def _notes(
    settings: Settings,
    names: tuple[str, ...],
    chosen: Chosen,
    decision: Decided,
    now: Profile,
    eligible: Bools,
) -> list[str]:
    """What a user has to know of the choice."""
    notes: list[str] = []
    if held := decision.count(reasons.HELD_OUT):
        notes.append(f"{many(held, 'prompt')} of the pool left out: also prompts of evaluations (--holdout)")
    if double := decision.count(reasons.DUPLICATE):
        notes.append(
            f"{many(double, 'row')} left out: repeat a prompt of the pool (--duplicates keep takes them)"
        )
    unseen = int((eligible & (now.n == 0)).sum())
    if unseen or decision.count(reasons.UNSEEN):
        notes.append(_unseen(settings, unseen or decision.count(reasons.UNSEEN)))
    if now.priors and any(prior.source == "mean" for prior in now.priors):
        notes.append(
            "fewer than 20 prompts have two samples: how pass rates spread cannot be learnt, so that intervals are "
            "those of a guess with the weight of one sample; draw 8 samples a prompt or more"
        )
    elif borrowed := [name for name, prior in zip(names, now.priors, strict=False) if prior.source == "pool"]:
        some = ", ".join(borrowed[:5]) + (", …" if len(borrowed) > 5 else "")
        notes.append(
            f"{some}: fewer than 20 prompts with two samples; the spread of all strata stands in for theirs"
        )
    if odd := [name for name, misfit in zip(names, now.misfit, strict=False) if misfit]:
        some = "" if len(names) == 1 else f"{', '.join(odd[:5])}{', …' if len(odd) > 5 else ''}: "
        notes.append(
            f"{some}pass rates are not spread as a Beta distribution, which is taken for granted here: prompts are "
            "ranked all the same, but expected shares may be off by many points; strata that are alike (--by) may help"
        )
    if not now.binary:
        notes.append(
            "rewards are not right or wrong: signal is the variance of the reward within a group, estimated by the "
            f"sample variance and shrunk towards the stratum's by {NOISES[now.noise or 'assumed']}"
        )
    for g, count in chosen.moved.items():
        notes.append(
            f"{names[g]}: {count:,} of its places cannot be filled, since too few of its prompts have signal; others "
            "take them"
        )
    if settings.size is not None and len(chosen.rows) < settings.size:
        notes.append(f"--size {settings.size}: only {len(chosen.rows):,} prompts are left to choose from")
    if settings.size is None and settings.keep_signal is None:
        notes += _undecided(settings, now, eligible)
    return notes


def _unseen(settings: Settings, count: int) -> str:
    said = {
        "explore": "compete with what is expected of their stratum (else --unseen keep or drop)",
        "keep": "taken first (else --unseen explore or drop)",
        "drop": "left out (else --unseen explore or keep)",
    }[settings.unseen]
    return f"{many(count, 'prompt')} without rollouts: {said}"


def _undecided(settings: Settings, now: Profile, eligible: Bools) -> list[str]:
    """What to do where samples are alike and too few to say that a prompt is flat."""
    if not now.binary:
        return []
    alike = eligible & (now.n > 0) & ((now.right == 0) | (now.right == now.n))
    kept = alike & (now.flat < settings.sure)
    if not kept.any():
        return []
    median = int(np.median(now.n[kept]))
    samples = f"{many(median, 'sample')} {'does' if median == 1 else 'do'}"
    return [
        f"{many(int(kept.sum()), 'prompt')} with all samples right or all wrong kept: {samples} not show "
        f"with {settings.sure:.0%} that fewer than {settings.min_signal:.0%} of their groups have signal; --size N or "
        "--keep-signal 0.95 puts them last"
    ]
