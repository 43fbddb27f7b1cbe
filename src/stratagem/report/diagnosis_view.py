"""What the page and the terminal show of a diagnosis: its findings, made safe to print, and put in order."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec

from stratagem.decomposition.flips import Flips
from stratagem.decomposition.leading import Leading, leading, level_in_words
from stratagem.decomposition.parts import ByProblem
from stratagem.decomposition.path import Step
from stratagem.records import Estimate, Part, Stratum, part_of
from stratagem.report.format import Number, finite, number, percent, plain, signed, signed_interval
from stratagem.report.view import TERMS, orders
from stratagem.result import Comparison, Findings, LabelError
from stratagem.verdict.wording import apart as apart_lengths
from stratagem.verdict.wording import both_readings

LONGEST = 1_000  # characters of any text in a diagnosis; names are short, and a line of a log has no end
# What would act on the text around it, or hide: controls but line feed and tab, and overrides of direction.
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ud800-\udfff]")

Raw = dict[str, Any]
Pair = TypeVar("Pair", Comparison, Step)


def tidy(value: Any) -> Any:
    """The same with every text safe to show: what is unseen is spelled out, what is too long is cut."""
    if isinstance(value, str):
        return seen(value if len(value) <= LONGEST else value[:LONGEST] + " …")
    if isinstance(value, dict):
        return {tidy(name): tidy(part) for name, part in cast(Raw, value).items()}
    if isinstance(value, list | tuple):
        return [tidy(part) for part in cast(list[Any], value)]
    return value


def safe(result: Part) -> Part:
    """The same result with every text safe to show."""
    return msgspec.convert(tidy(msgspec.to_builtins(result)), type(result))


def seen(text: str) -> str:
    """The text with what is unseen spelled out, an override of direction as ``⟨U+202E⟩``."""
    return UNSEEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)


def short(name: str, most: int) -> str:
    """A long name without its middle: files differ at their ends."""
    if len(name) <= most:
        return name
    head = (most - 1) // 2
    return f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"


def shown(findings: Findings) -> Findings:
    """The findings with every text safe to show, and with sides called by what tells them apart (`apart`).

    Sentences and warnings keep the full names.
    """
    tidied = safe(part_of(findings, Findings))
    names = called(tidied)

    def renamed(pair: Pair) -> Pair:
        return msgspec.structs.replace(pair, before=names[pair.before], after=names[pair.after])

    return msgspec.structs.replace(
        tidied,
        sides=tuple(msgspec.structs.replace(side, name=names[side.name]) for side in tidied.sides),
        comparisons=tuple(map(renamed, tidied.comparisons)),
        path=tidied.path
        and msgspec.structs.replace(tidied.path, steps=tuple(map(renamed, tidied.path.steps))),
    )


def called(findings: Findings) -> dict[str, str]:
    """What a page calls each side and each checkpoint, by its name that is safe to show."""
    steps = () if findings.path is None else findings.path.steps
    names = [side.name for side in findings.sides]
    names += [name for pair in (*findings.comparisons, *steps) for name in (pair.before, pair.after)]
    return apart(tidy(list(dict.fromkeys(names))))


def apart(names: list[str]) -> dict[str, str]:
    """What to call each name: without the first and last folders that all share, where that tells them apart."""
    parts = [name.split("/") for name in names]
    least = min(map(len, parts), default=0) - 1
    head = next((i for i in range(least) if len({part[i] for part in parts}) > 1), max(least, 0))
    rest = [part[head:] for part in parts]
    room = min(map(len, rest), default=1) - 1
    tail = next((i for i in range(room) if len({part[-1 - i] for part in rest}) > 1), max(room, 0))
    shown = ["/".join(part[: len(part) - tail]) for part in rest]
    several = len(names) > 1 and len(set(shown)) == len(names) and all(shown)
    return dict(zip(names, shown if several else names, strict=True))


@dataclass(frozen=True, slots=True)
class Terms:
    """A gain and its terms, as numbers to show."""

    title: str
    gain: Number
    terms: dict[str, Number]
    source: Comparison | Step


def terms_of(source: Comparison | Step, title: str | None = None) -> Terms:
    named = title or f"{source.before} → {source.after}"
    return Terms(named, number(source.gain), {term: number(getattr(source, term)) for term in TERMS}, source)


@dataclass(frozen=True, slots=True)
class Entry:
    """A comparison with its place in the findings."""

    number: int
    result: Comparison

    @property
    def before(self) -> str:
        return self.result.before

    @property
    def after(self) -> str:
        return self.result.after

    @property
    def terms(self) -> Terms:
        return terms_of(self.result)

    @property
    def title(self) -> str:
        return f"{self.before} → {self.after}"

    @property
    def level(self) -> Leading:
        """The level that the sentence rests on, with the parts there."""
        return leading(self.result)

    @property
    def levels(self) -> list[Terms]:
        """The terms at the level of the sentence, then, where that is the problem, by stratum."""
        x = self.level
        if x.new_strategy is not None:
            return [self.terms]
        parts = {"selection": number(x.choice), "improvement": number(x.improvement)}
        first = Terms(
            f"{self.title}, {x.way}", self.terms.gain, {**parts, "new_strategy": number(None)}, self.result
        )
        return [first, terms_of(self.result, f"{self.title}, {level_in_words(self.result.by)}")]

    @property
    def sentence(self) -> str:
        return "No verdict was reached." if self.result.verdict is None else self.result.verdict.sentence

    @property
    def action(self) -> str | None:
        return None if self.result.verdict is None else self.result.verdict.action

    @property
    def evidence(self) -> tuple[str, ...]:
        return () if self.result.verdict is None else self.result.verdict.evidence

    @property
    def key(self) -> tuple[str, ...]:
        """The pieces of evidence that stand beside the sentence."""
        return () if self.result.verdict is None else self.result.verdict.key

    @property
    def why(self) -> str:
        """Why this is next, in one sentence."""
        return headline(self.evidence[0])[0] if self.evidence else ""

    @property
    def aim(self) -> str:
        """How much the next action needs, and where it applies."""
        return "" if self.result.verdict is None else self.result.verdict.aim

    @property
    def command(self) -> str:
        """What one types to do it; nothing where no command does."""
        return "" if self.result.verdict is None else self.result.verdict.command

    @property
    def further(self) -> tuple[str, ...]:
        """What stands on the first screen neither by itself nor in the sentence."""
        return tuple(line for line in self.evidence if line not in (self.why, *self.key))

    @property
    def headline(self) -> tuple[str, str]:
        """What is said first, and the rest of it without the pieces of evidence that stand beside it."""
        first, rest = headline(self.sentence)
        for line in self.key:
            rest = rest.replace(line, "")
        return first, " ".join(rest.split())

    @property
    def orders(self) -> list[tuple[str, dict[str, Number]]]:
        """The terms in each order of accounting, `interaction` too where there is one; and those by problem."""
        rows, split_by_problem = orders(self.result), self.result.by_problem
        if split_by_problem.lead is None:
            return rows
        both = {"by problem": split_by_problem, "by problem, improve first": split_by_problem.reverse}
        none = dict.fromkeys((*TERMS, "interaction"), number(None))
        return rows + [
            (title, none | {"selection": number(split.choice), "improvement": number(split.improvement)})
            for title, split in both.items()
        ]


def entries(findings: Findings) -> list[Entry]:
    """The whole way first, then the others from the same beginning, then the rest, each in the log's order."""
    every = [Entry(i, result) for i, result in enumerate(findings.comparisons)]
    start = [entry for entry in every if entry.before == every[0].before]
    return start[-1:] + start[:-1] + [entry for entry in every if entry not in start]


def problems_differ(entries: list[Entry]) -> bool:
    """Whether comparisons are over different numbers of problems, so that their gains do not add up."""
    return len({entry.result.problems for entry in entries}) > 1


def path_note(findings: Findings) -> str:
    """Which problems the steps of a path are over, and why their gains are not those of the comparisons."""
    path = findings.path
    if path is None:
        return ""
    sizes = path.problems
    if not path.paired:
        ends = " to ".join(plain(size) for size in sorted({min(sizes), max(sizes)}))
        return f"Each checkpoint has problems of its own ({ends}); strata weigh their mean part over all checkpoints."
    text = f"Steps are over the {plain(sizes[0])} problems that all {len(sizes)} checkpoints answered"
    others = [entry for entry in entries(findings) if entry.result.problems != sizes[0]]
    if not others:
        return f"{text}."
    most = max(others, key=lambda entry: entry.result.problems)
    return (
        f"{text}; a comparison is over all that its own two sides answered ({plain(most.result.problems)} for "
        f"{most.title}), so that its gain may differ."
    )


def headline(sentence: str) -> tuple[str, str]:
    """Splits after the first sentence, or after its first clause where that is long."""
    end = re.search(r"(?<=[.!?])\s+(?=[A-Z0-9])", sentence)
    first, rest = (sentence[: end.start()], sentence[end.end() :]) if end else (sentence, "")
    if len(first) > 130 and (clause := re.search(r": ", first[40:])):
        at = 40 + clause.start()
        first, tail = first[:at] + ".", first[at + 2 :]
        rest = f"{tail[:1].upper()}{tail[1:]} {rest}".strip()
    return first, rest


def notes(entry: Entry, evidence: bool = False) -> list[str]:
    """What has to be said beside a gain.

    Args:
        evidence: whether the verdict's evidence and the flips stand beside it too: then what they say is left out.
    """
    result = entry.result
    lines = [f"Strata by {', '.join(result.by)}." if result.by else "All problems as one stratum."]
    if not result.paired:
        lines.append("The problems before are not those after: strata are compared in their place.")
    if result.by_problem.lead is not None and not evidence:
        some = f"{plain(result.by_problem.with_4)} of {plain(result.problems)}"
        lines.append(
            f"By problem: {_in_two(result.by_problem)}; {some} problems have 4 responses on both sides."
        )
    if (share := finite(result.unsupported_share)) is not None:
        lines.append(
            f"{percent(share)}% of responses follow a strategy that the other side does not use there{_bounds(result)}."
        )
    first, last = finite(result.length_before), finite(result.length_after)
    if first and last is not None and not evidence:
        lengths = " → ".join(apart_lengths(first, last))
        lines.append(f"Mean length of a response: {lengths} ({signed(last / first - 1, 0)}%).")
    if result.flips is not None and not evidence:
        lines.append(_flips(result.flips))
    if result.left_out_before or result.left_out_after:
        which = "of one side only" if result.paired else "of strata without two problems on either side"
        left = f"{plain(result.left_out_before)} before, {plain(result.left_out_after)} after"
        lines.append(f"Problems {which}, left out: {left}.")
    if not number(result.gain).has_interval:
        return [*lines, f"{plain(result.problems)} problems: no interval is made of so few."]
    lines += [f"Intervals may be too narrow: {reason}." for reason in result.weak]
    if result.weak and not evidence and (bounded := both_readings(result.new_or_rare)):
        lines.append(bounded)
    return lines


def _in_two(split: ByProblem) -> str:
    """Choice and improvement with their intervals."""
    parts = {"choice": number(split.choice), "improvement": number(split.improvement)}
    return ", ".join(f"{name} {signed(term.value)} {signed_interval(term)}" for name, term in parts.items())


def _flips(flips: Flips) -> str:
    became = f"{_rate(flips.wrong_to_right)} became right, {_rate(flips.right_to_wrong)} wrong"
    problems = f"{plain(flips.better)} problems are right more often, {plain(flips.worse)} less often"
    return f"Of responses to the same problem, paired, {became}; {problems}."


def _rate(estimate: Estimate) -> str:
    return f"{percent(number(estimate).value)}%"


def _bounds(result: Comparison) -> str:
    """How large the shares of strategies that a side does not use may still be: by the strata's problems."""
    bounds = [row.bound for row in result.unsupported]
    if not bounds:
        return ""
    ends = dict.fromkeys(f"{percent(bound)}%" for bound in (min(bounds), max(bounds)))
    return f"; with these problems, its share there may still be up to {' to '.join(ends)}"


def robustness_text(entry: Entry) -> str:
    """Under how many other groupings of the strategies the same part leads."""
    result, changes, lead = entry.result, entry.result.robustness, entry.result.lead
    if lead is None:
        return ""
    if not result.paired:
        return (
            "Other groupings of the strategies are tried only where the problems are the same on both sides."
        )
    if not changes:
        return "There are too few strategies to group them otherwise."
    total, same = len(changes), sum(change.lead == lead for change in changes)
    merged = sum(change.change.startswith("merge") for change in changes)
    kinds = f" ({merged} merged, {total - merged} split further)" if merged < total else ""
    where = f"In {same} of {total} other groupings of the strategies{kinds}"
    if lead == "undecided":
        return f"{where} it stays undecided whether selection or improvement is larger."
    turned = sum(change.lead not in (lead, "undecided") for change in changes)
    other = "improvement" if lead == "selection" else "selection"
    return f"{where} {lead} stays larger than {other}{f'; in {turned} it turns round' if turned else ''}."


def sensitivity_text(error: LabelError | None) -> str:
    """How large a label error would change the answer."""
    return "" if error is None or error.sensitivity is None else error.sensitivity.sentence


def corrected_text(error: LabelError | None) -> str:
    """What hand labels make of the terms, or why they make nothing of them; nothing without hand labels."""
    if error is not None and error.refused:
        return f"The terms were not corrected by the hand labels: {error.refused}."
    if error is None or error.corrected is None:
        return ""
    lead = error.corrected.lead
    leads = "it is open which is larger" if lead == "undecided" else f"{lead} is larger"
    terms = {term.replace("_", " "): number(getattr(error.corrected, term)) for term in TERMS}
    parts = [f"{name} {signed(term.value)} {signed_interval(term)}".rstrip() for name, term in terms.items()]
    return f"Corrected by the hand labels {leads}: {', '.join(parts)}."


def quality_text(error: LabelError | None) -> str:
    """How far the labels agree with hand labels; nothing without these."""
    if error is None or error.quality is None:
        return ""
    whole = error.quality.scopes[0]
    text = f"{whole.labelled:,} hand labels: the labels agree with {100 * whole.agreement.value:.1f}% of them"
    text += f" ({100 * whole.agreement.low:.1f} to {100 * whole.agreement.high:.1f})"
    kappa = whole.kappa
    if math.isnan(kappa.value):
        return f"{text}."
    return f"{text}, Cohen's kappa {kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f})."


def interval_name(findings: Findings) -> str:
    return f"{100 * findings.level:g}%"


def stratum_name(stratum: Stratum) -> str:
    """``gsm8k, 3`` for the values of the columns of the strata."""
    return ", ".join(map(plain, stratum.values())) or "all problems"
