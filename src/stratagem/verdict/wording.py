"""The facts of a comparison in words.

A direction is only named where its interval excludes 0; all accuracies are in points or percent.
"""

from __future__ import annotations

import math

from stratagem.decomposition.by_problem import HEADLINE
from stratagem.decomposition.leading import lead_clause, level_in_words, no_split, ranges
from stratagem.decomposition.one_label import one_label
from stratagem.decomposition.parts import Split
from stratagem.records import FORM, UNSET, Estimate, points
from stratagem.verdict.facts import Carried, Facts
from stratagem.verdict.places import Opposed
from stratagem.verdict.predicates import (
    HALF,
    SMALL,
    UNREAD,
    UNSUPPORTED,
    carrier,
    excludes_zero,
    hardest,
    levels_disagree,
    longer,
    misread,
    open_gain,
    open_lead,
    room_after,
    room_before,
    seen,
    small,
)

KEY = 3  # pieces of evidence beside the sentence: what one takes in at a glance
LEVELS = 3  # of the easiest and of the hardest difficulties, where there are too many to name all


def headline(f: Facts) -> str:
    first = one_label(f.largest) if f.has_split else ""
    return f"{first} {_headline(f)}".lstrip()


def _headline(f: Facts) -> str:
    if math.isnan(f.gain.low):
        accuracies = f"from {percent(f.accuracy_before)} to {percent(f.accuracy_after)}"
        said = f"In these logs accuracy went {accuracies}; how sure that is they do not say."
        if f.labelled and not f.has_split:
            return f"{said} {no_split(f.unparsed)}"
        return f"{said}{needed(f)}"
    if excludes_zero(f.gain):
        verb = "rose" if f.gain.low > 0 else "fell"
        ends = sorted(abs(x) for x in (f.gain.low, f.gain.high))
        size = f"{points(abs(f.gain.value))} points ({f.level:.0%} interval {points(ends[0])} to {points(ends[1])})"
        said = f"In these logs accuracy {verb} by {size}"
    else:
        size = f"{signed(f.gain.value)} points ({f.level:.0%} interval {_range(f.gain)})"
        what = "accuracy hardly changed" if small(f) else "no change of accuracy can be shown"
        said = f"In these logs {what}: {size}"
    if not f.labelled:
        return (
            f"{said}. They hold counts without texts, so that selection and improvement cannot be told apart."
        )
    if not f.has_split:
        return f"{said}. {no_split(f.unparsed)}"
    parts = ranges(f.leading) if f.leading.order_dependent else _parts(f)
    return f"{said}{lead_clause(f)}: {parts}.{needed(f)}"


def needed(f: Facts) -> str:
    """How many problems would decide what is open; nothing where nothing is."""
    if open_gain(f) or (math.isnan(f.gain.low) and f.gain.value):
        return _enough("the change", f, f.problems_for_gain)
    return _enough("the difference", f, f.problems_for_lead) if open_lead(f) else ""


def _enough(what: str, f: Facts, problems: int | None) -> str:
    if problems is None:
        return f" If {what} is as small as it looks, no reachable number of problems would tell."
    these = "this one" if f.problems == 1 else f"these {f.problems:,}"
    text = f" If {what} is as large as it looks, about {problems:,} problems like {these} would tell"
    samples = f.samples_instead(problems)
    if samples is not None:
        return f"{text}, or about {many(samples, 'response')} a problem instead of {f.samples:.0f}."
    return (
        f"{text}; more responses to the same problems would not be enough."
        if f.chance is not None
        else f"{text}."
    )


def _parts(f: Facts) -> str:
    x = f.leading
    parts = [part(x.name, x.choice), part("improvement", x.improvement)]
    new = x.new_strategy is not None and _new(f)
    return listed([*parts, part("new strategies", f.new_strategy)] if new else parts)


def _new(f: Facts) -> bool:
    """Whether new strategies may matter: their interval reaches farther than half of what counts as small."""
    return max(-f.new_strategy.low, f.new_strategy.high) >= SMALL / 2


def part(name: str, e: Estimate) -> str:
    """A term with its interval, as a direction only where the interval excludes 0."""
    return f"{name} {_moved(e, 'added', 'cost')}"


def _moved(e: Estimate, up: str, down: str) -> str:
    if math.isnan(e.low):
        return f"is {signed(e.value)} points (no interval)"
    if not excludes_zero(e):
        return f"cannot be told from 0 ({signed(e.value)} points, {_range(e)})"
    ends = sorted(abs(x) for x in (e.low, e.high))
    verb = up if e.low > 0 else down
    return f"{verb} {points(abs(e.value))} points ({points(ends[0])} to {points(ends[1])})"


def caveats(f: Facts) -> list[str]:
    lines: list[str] = []
    if not f.paired:
        lines.append(
            "The problems before are not those after: this holds as far as those of a stratum are alike."
            if f.by
            else "The problems before are not those after: this holds as far as they are alike."
        )
    carrying = carrier(f)
    if misread(f):
        lines.append(_misread(f))
    if carrying is not None:
        lines.append(carries(carrying, f))
    if (
        f.unread is not None
        and f.unread is not carrying
        and f.unread.share_after >= UNREAD
        and not misread(f)
    ):
        lines.append(carries(f.unread, f))
    if f.other_share >= HALF:
        lines.append(f"{percent(f.other_share)} of responses follow no named strategy.")
    if longer(f):
        lines.append(length(f))
    if levels_disagree(f) and f.has_split:
        lines.append(_levels(f))
    if f.unsupported_share >= UNSUPPORTED:
        lines.append(_unsupported(f))
    if f.regrouped is not None and f.regrouped[2] and f.has_split:
        lines.append(_regrouped(f))
    if f.weak and not math.isnan(f.gain.low):
        lines.append(_narrow(f))
    return lines


def evidence(f: Facts) -> list[str]:
    """The numbers beside the sentence, one line a fact."""
    lines = [
        f"Accuracy {percent(f.accuracy_before)} -> {percent(f.accuracy_after)} over {f.problems:,} problems, "
    ]
    lines[0] += f"{f.samples:.0f} {'response' if f.samples == 1 else 'responses'} a problem."
    if not excludes_zero(f.gain) and f.detectable_gain > 0:
        lines.append(
            f"With so many problems a change of {points(f.detectable_gain)} points or more would have been detected "
            "(power 80%)."
        )
    if f.unread is not None and _told(f.unread):
        lines.append(carries(f.unread, f))
    lines += _forms(f)
    if other := _other_level(f):
        lines.append(other)
    if f.lengths is not None:
        lines.append(length(f))
    if rooms(f):
        lines.append(rooms(f))
    if f.signal is not None:
        s = f.signal
        lines.append(
            f"Groups of {s.group} responses without signal: all wrong {percent(s.wrong_before)} -> "
            f"{percent(s.wrong_after)}, all right {percent(s.right_before)} -> {percent(s.right_after)}."
        )
    few = len(f.levels) <= 2 * LEVELS
    lines += [
        f"Difficulty {x.difficulty:g}: {percent(x.accuracy_before)} -> {percent(x.accuracy_after)} "
        f"over {many(x.problems, 'problem')}."
        for x in (f.levels if few else (*f.levels[:LEVELS], *f.levels[-LEVELS:]))
    ]
    lines += [_opposed(part) for part in f.opposed]
    if f.unsupported_share > 0:
        lines.append(_unsupported(f))
    if rare := _new_or_rare(f):
        lines.append(rare)
    if f.regrouped is not None:
        lines.append(_regrouped(f))
    return lines


def key(f: Facts) -> list[str]:
    """What one has to know beside the sentence, most important first: `KEY` lines at most."""
    beside = [*caveats(f), *_forms(f), *map(_opposed, f.opposed), *evidence(f)[1:]]
    return list(dict.fromkeys(beside))[:KEY]


def _form(f: Facts) -> Carried | None:
    """All forms of answers together, where they were counted so; else the form that carries most."""
    together = next((form for form in f.forms if form.name == FORM), None)
    return together or max(f.forms, key=lambda form: abs(form.part.value), default=None)


def _forms(f: Facts) -> list[str]:
    """What the form of answers carries; of a new form of most answers, that this cannot be told."""
    form = _form(f)
    if form is None:
        return []
    if seen(form):
        return [carries(form, f)] if _told(form) else []
    if abs(form.share_after - form.share_before) < HALF:
        return []
    how = "so" if form.share_after > form.share_before else "otherwise"
    return [f"{_shares(form, f)}: too few did {how} before to tell what this change is worth."]


def _told(form: Carried) -> bool:
    return excludes_zero(form.part) and abs(form.part.value) >= SMALL / 4


def carries(form: Carried, f: Facts) -> str:
    shares = _shares(form, f)
    alike = excludes_zero(form.part) and excludes_zero(f.gain) and form.part.value * f.gain.value > 0
    if form is not f.unread and alike and abs(form.part.value) <= abs(f.gain.value):
        some = f"{points(abs(form.part.value))} of the {points(abs(f.gain.value))} points"
        low, high = sorted(abs(end) for end in (form.part.low, form.part.high))
        return f"{some} ({points(low)} to {points(high)}) are answer format: {shares}; {part('all else', form.rest)}."
    return f"{shares}; {part('this change by itself', form.part)}, {part('all else', form.rest)}."


def _shares(form: Carried, f: Facts) -> str:
    how = f"are {form.name}" if form is f.unread else f'show "{form.name.replace("_", " ")}"'
    how = "give an answer that is not plain" if form.name == FORM else how
    return f"{percent(form.share_before)} of responses before and {percent(form.share_after)} after {how}"


def _levels(f: Facts) -> str:
    """What the level that does not lead says, where the two disagree."""
    by = level_in_words(f.by)
    if f.leading.name == "choice":
        return f"Problems inside a stratum differ: {by} improvement would be {signed(f.improvement.value)} points."
    improvement = part("improvement", f.by_problem.improvement)
    return f"Problems inside a stratum differ: problem by problem {improvement}."


def _other_level(f: Facts) -> str:
    """The split that does not lead, or what more responses to each problem would tell; nothing where that is moot."""
    x = f.by_problem
    if not f.has_split:
        return ""
    if x.lead is not None and x.leads:
        parts = [part("selection", f.selection), part("improvement", f.improvement)]
        return (
            f"By stratum, {level_in_words(f.by)}: {listed([*parts, part('new strategies', f.new_strategy)])}."
        )
    if not f.paired:
        return ""
    more = f"{HEADLINE} responses to each problem on both sides ({x.with_4:,} of {f.problems:,} have them)"
    if x.lead is None:
        return (
            f"With {more} the gain could be split by problem, which tells whether those of a stratum differ."
        )
    parts = listed([part("choice", x.choice), part("improvement", x.improvement)])
    return f"By problem: {parts}; with {more} this would lead."


def _misread(f: Facts) -> str:
    x = f.unparsed
    sides = (("before", x.share_before, x.right_before), ("after", x.share_after, x.right_after))
    texts = [
        f"{percent(share)} of responses {side} ({percent(right)} of them graded right)"
        for side, share, right in sides
        if share > 0
    ]
    return f"The labels find no answer in {listed(texts)}."


def length(f: Facts) -> str:
    if f.lengths is None:
        return ""
    x = f.lengths
    d, verb = x.difference, "went"
    if excludes_zero(d):
        verb = "grew" if d.low > 0 else "shrank"
    before, after = apart(x.before, x.after)
    if before == after:
        return f"Answers are {before} {x.unit} long on both sides."
    text = f"Answers {verb} from {before} to {after} {x.unit}"
    if d.low > 0:
        if not x.steady.n:
            return f"{text}, on every problem: these logs cannot tell the change of accuracy from that of length."
        some = many(x.steady.n, "problem")
        text += f"; over the {some} whose answers grew by less than 10%"
        if excludes_zero(x.steady):
            return f"{text} accuracy {_moved(x.steady, 'rose by', 'fell by')}."
        return f"{text} a change of accuracy {_moved(x.steady, '', '')}."
    return f"{text}."


def apart(before: float, after: float) -> tuple[str, str]:
    """Two lengths with as few digits, two decimals at most, as tell them apart."""
    for digits in range(3):
        texts = f"{before:,.{digits}f}", f"{after:,.{digits}f}"
        if texts[0] != texts[1]:
            return texts
    return f"{before:,.0f}", f"{after:,.0f}"


def rooms(f: Facts) -> str:
    both = (("before", room_before(f)), ("after", room_after(f)))
    sides = [(name, x) for name, x in both if x is not None]
    if not sides:
        return ""
    texts = [
        f"{name} {_span(x.selection)} for selection and {_span(x.improvement)} for improvement"
        for name, x in sides
    ]
    level = ", problem by problem" if f.rooms_by_problem else ""
    return f"Headroom in points{level}: {'; '.join(texts)}."


def _span(ends: tuple[float, float]) -> str:
    return f"{points(ends[0])} to {points(ends[1])}"


def hard(f: Facts) -> str:
    x = hardest(f)
    return "" if x is None else f" At difficulty {x.difficulty:g} accuracy is {percent(x.accuracy_after)}."


def _opposed(opposed: Opposed) -> str:
    (up, added), (down, cost) = opposed.up, opposed.down
    return (
        f"{opposed.part.capitalize()} differs between strata: in {up} it {_moved(added, 'added', 'cost')}, "
        f"in {down} it {_moved(cost, 'added', 'cost')}."
    )


def _unsupported(f: Facts) -> str:
    share = percent(f.unsupported_share)
    return (
        f"{share} of responses use strategies that only one checkpoint used; "
        "a forced-strategy probe would tell unused from unable."
    )


def _new_or_rare(f: Facts) -> str:
    """What the terms may be if strategies that were not seen before were rare; nothing where there are none."""
    return both_readings(f.new_or_rare) if _new(f) or f.weak else ""


def both_readings(split: Split) -> str:
    """The terms as bounds; nothing where every strategy was seen before.

    Args:
        split: `new_or_rare` of a decomposition.
    """
    if split.new_strategy.bounds is UNSET:
        return ""
    names = ("selection", "improvement", "new strategies")
    terms = (split.selection, split.improvement, split.new_strategy)
    parts = (f"{name} {_range(term)}" for name, term in zip(names, terms, strict=True))
    return f"Strategies not seen before are new or were merely rare; over both readings, in points: {', '.join(parts)}."


def _regrouped(f: Facts) -> str:
    tried, same, opposite = f.regrouped or (0, 0, 0)
    groupings = f"{many(tried, 'other grouping')} of strategies"
    if f.lead == "undecided":
        return f"Under {groupings} it stays undecided in {same} which of the two is larger."
    turned = f" and turned round in {opposite}" if opposite else ""
    return f"Under {groupings} the lead is the same in {same}{turned}."


def _narrow(f: Facts) -> str:
    return f"The intervals may be too narrow: {listed(f.weak)}."


def unseen(f: Facts) -> str:
    if longer(f):
        return "Whether length is the cause, logs cannot show; sampling both checkpoints under one token budget would."
    return (
        "What caused this, logs cannot show; a splice probe (opening from one checkpoint, the rest from the other) "
        "would tell choice from execution."
    )


def many(n: int, thing: str) -> str:
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def signed(x: float) -> str:
    return points(x, sign="+")


def _range(e: Estimate) -> str:
    return f"{signed(e.low)} to {signed(e.high)}"


def percent(x: float) -> str:
    return f"{points(x)}%"


def listed(words: tuple[str, ...] | list[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
