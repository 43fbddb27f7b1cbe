"""What the facts of a comparison say: predicates, with their thresholds."""

from __future__ import annotations

import math

from stratagem.records import Estimate
from stratagem.stats.min_sample import MIN_PROBLEMS
from stratagem.stats.uncertainty import quantile
from stratagem.verdict.facts import Carried, Facts, Level, Room

SMALL = 0.02  # a change of accuracy within this is none; a headroom below it is used up
HALF = 0.5  # of a gain, of responses or of groups: "most"
SEEN = 0.05  # of responses before, from which an old accuracy says what a form is worth when most take it up
UNREAD = 0.2  # of responses that cannot be read
GRADED = 0.05  # of unparsed responses that are right, from which the grader reads what the labels do not
LONGER = 1.25  # times as long
WEAK = 0.1  # improvement headroom from which execution counts as weak
HARD = 0.7  # accuracy at the greatest difficulty below which execution counts as weak
UNSUPPORTED = 0.1  # of responses, from which the sentence names the probe


def excludes_zero(estimate: Estimate) -> bool:
    """Whether the interval excludes 0; one that is missing does not."""
    return estimate.low > 0 or estimate.high < 0


def small(f: Facts) -> bool:
    """Whether the gain is shown to lie within 2 points of 0, as an equivalence test shows it: two one-sided tests at 5%
    are an interval of 90%, where that of the gain itself has 95% (Schuirmann 1987)."""
    level = max(2 * f.level - 1, 0.5)
    reach = quantile(level, max(f.gain.n - 1, 1)) * f.gain.se
    return abs(f.gain.value) + reach < SMALL


def misread(f: Facts) -> bool:
    """The labels find no answer in many responses, before or after, of which the grader found some right; or in most
    of those that are right."""
    x = f.unparsed
    sides = (x.share_before, x.right_before), (x.share_after, x.right_after)
    return x.hides_split or any(share >= UNREAD and right > GRADED for share, right in sides)


def seen(form: Carried) -> bool:
    """Whether the form of answers that became more common was common enough before. A form that hardly any response had
    tells nothing of what it is worth: the few that had it are not those which take it up."""
    return form.grew_from >= SEEN


def carrier(f: Facts) -> Carried | None:
    """The property of form whose change carries most of a gain (or of a loss) whose interval excludes 0."""
    same_way = [
        form
        for form in (f.unread, *filter(seen, f.forms))
        if form and excludes_zero(form.part) and form.part.value * f.gain.value > 0
    ]
    top = max(same_way, key=lambda form: abs(form.part.value), default=None)
    return top if top and excludes_zero(f.gain) and abs(top.part.value) >= HALF * abs(f.gain.value) else None


def lead(f: Facts) -> str:
    """The part that leads (`leading.Leading.lead`); none, `undecided`, where that depends on the order of counting."""
    x = f.leading
    return "undecided" if x.order_dependent else x.lead


def levels_disagree(f: Facts) -> bool:
    """The split by problem is another one than that by stratum: problems inside a stratum differ."""
    return bool(f.by_problem.disagrees)


def by_length(f: Facts) -> bool:
    """The gain goes along with longer answers: where they did not grow, less than half of it is found."""
    steady = math.nan if f.lengths is None else f.lengths.steady.value
    return longer(f) and f.gain.low > 0 and not steady >= HALF * f.gain.value


def longer(f: Facts) -> bool:
    return (
        f.lengths is not None
        and f.lengths.difference.low > 0
        and f.lengths.after >= LONGER * f.lengths.before
    )


def cancel(f: Facts) -> bool:
    """Choice and execution went opposite ways, each by more than the gain."""
    choice, execution = f.leading.choice, f.leading.improvement
    return (
        excludes_zero(choice)
        and excludes_zero(execution)
        and choice.value * execution.value < 0
        and min(abs(choice.value), abs(execution.value)) >= abs(f.gain.value)
    )


def open_gain(f: Facts) -> bool:
    return not (excludes_zero(f.gain) or small(f) or cancel(f))


def open_lead(f: Facts) -> bool:
    """More samples may tell which part is larger; they do not where the order of counting decides."""
    return f.leading.lead == "undecided" and not (
        f.leading.order_dependent or open_gain(f) or small(f) or cancel(f)
    )


def opposite(f: Facts) -> bool:
    """Large opposite parts that no log can read: a label that moves alone leaves them too.

    That is so where the gain is about 0, and where choice got worse by problem but not by stratum.
    """
    hidden = levels_disagree(f) and f.leading.choice.high < 0
    return cancel(f) and (not excludes_zero(f.gain) or small(f) or hidden)


def room_before(f: Facts) -> Room | None:
    """Headroom before; none by stratum where problems inside a stratum differ."""
    return f.room_before if f.rooms_by_problem or not levels_disagree(f) else None


def room_after(f: Facts) -> Room | None:
    """The same after."""
    return f.room_after if f.rooms_by_problem or not levels_disagree(f) else None


def selection_left(f: Facts) -> bool:
    room = room_after(f)
    return room is not None and room.selection[0] >= SMALL


def selection_exhausted(f: Facts) -> bool:
    room = room_after(f)
    return room is not None and room.selection[1] < SMALL and weak(f)


def nothing_to_select(f: Facts) -> bool:
    room = room_before(f)
    return room is not None and room.selection[1] < SMALL and weak(f)


def hardest(f: Facts) -> Level | None:
    """The greatest difficulty that more than a handful of problems have."""
    return next((x for x in reversed(f.levels) if x.problems >= MIN_PROBLEMS), None)


def weak(f: Facts) -> bool:
    top, room = hardest(f), room_after(f)
    hard = top is not None and top.accuracy_after < HARD
    return hard or (room is not None and room.improvement[0] >= WEAK)
