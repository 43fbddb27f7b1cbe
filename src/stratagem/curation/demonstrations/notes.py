"""What a user has to know of a set of demonstrations and of a choice among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stratagem.curation.demonstrations.choice import Cells
from stratagem.curation.demonstrations.diversity import Ints
from stratagem.curation.demonstrations.labels import UNNAMED
from stratagem.curation.demonstrations.reading import Demonstrations
from stratagem.curation.demonstrations.reasons import HELD_OUT, NEAR, REPEAT, UNREADABLE, WRONG, Sifted
from stratagem.curation.demonstrations.settings import Settings
from stratagem.verdict.wording import many


def notes_of(
    data: Demonstrations,
    sifted: Sifted,
    settings: Settings,
    names: Sequence[str],
    cells: Cells,
    taken: Ints | None,
    control: Ints | None,
    signing: bool,
) -> list[str]:
    """Lines for the user.

    Args:
        taken: the rows that were chosen, and those that were written.
        control: the rows of the random control.
        signing: whether near-duplicates were to be looked for.
    """
    notes: list[str] = []
    whys = {
        HELD_OUT: "left out: their prompts are also those of evaluations (--holdout)",
        WRONG: "left out: their answer or a step is wrong, by their task",
        UNREADABLE: "left out: no answer was found in them",
        REPEAT: "left out: repeat another of the same problem (--duplicates keep takes them)",
        NEAR: f"left out: share {settings.near:.0%} or more with another of the same strategy (--near, --duplicates)",
    }
    for why, said in whys.items():
        if count := sifted.count(why):
            notes.append(f"{many(count, 'demonstration')} {said}")
    if signing and data.signed is None:
        notes.append("near-duplicates were not looked for: pip install 'stratagem[near]'")
    covered = [name for name, cover in zip(names, cells.covered, strict=True) if cover]
    if len(covered) < 2:
        notes.append(
            f"{', '.join(covered) or 'no strategy'} is all that is to be covered: name others with --cover, or rules "
            "that tell strategies apart with --strategies"
        )
    seen = set(np.unique(cells.strategy[sifted.eligible]).tolist())
    never = [
        name
        for number, name in enumerate(names)
        if number not in seen and name not in covered and name not in UNNAMED
    ]
    if never and data.labeller.task is None and not settings.cover:
        notes.append(f"never shown: {', '.join(never)}; with --cover they are asked for")
    if settings.size is not None and taken is not None and len(taken) < settings.size:
        notes.append(f"--size {settings.size}: only {len(taken):,} demonstrations are left to choose from")
    if taken is not None and control is not None and len(control) < len(taken):
        notes.append(
            f"the random control has {len(control):,} demonstrations, not {len(taken):,}: the set has no more that may "
            f"be taken; --size {len(control)} makes both equally large"
        )
    return notes
