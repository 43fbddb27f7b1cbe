"""What the page and the terminal show of a diagnosis: its JSON, made safe to print, and put in order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from stratagem.report.format import finite, number, percent, plain, signed, signed_interval
from stratagem.report.view import TERMS, Gain, record, records

LONGEST = 1_000  # characters of any text in a diagnosis; names are short, and a line of a log has no end
# What would act on the text around it, or hide: controls but line feed and tab, and overrides of direction.
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ud800-\udfff]")

ENDS = ("before", "after")

Raw = dict[str, Any]


def tidy(value: Any) -> Any:
    """The same with every text safe to show: what is unseen is spelled out, what is too long is cut."""
    if isinstance(value, str):
        return seen(value if len(value) <= LONGEST else value[:LONGEST] + " …")
    if isinstance(value, dict):
        return {tidy(name): tidy(one) for name, one in cast(Raw, value).items()}
    if isinstance(value, list | tuple):
        return [tidy(one) for one in cast(list[Any], value)]
    return value


def seen(text: str) -> str:
    """The text with what is unseen spelled out, an override of direction as ``⟨U+202E⟩``."""
    return UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def short(name: str, most: int) -> str:
    """A long name without its middle: files differ at their ends."""
    if len(name) <= most:
        return name
    head = (most - 1) // 2
    return f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"


def titled(diagnosis: Raw) -> Raw:
    """The diagnosis with sides called by what tells them apart: without the folders that all their names share.

    A side whose name changes keeps it as `full_name`. Sentences and warnings stay as they are.
    """
    steps = records(record(diagnosis, "path"), "steps")
    pairs = [*records(diagnosis, "comparisons"), *steps]
    names = dict.fromkeys([*side_names(diagnosis), *(str(one.get(end)) for one in pairs for end in ENDS)])
    called = apart(list(names))

    def renamed(one: Raw) -> Raw:
        return one | {end: called[str(one[end])] for end in ENDS if str(one.get(end)) in called}

    sides = [
        side | ({"name": called[name], "full_name": name} if called[name] != name else {})
        for side, name in zip(records(diagnosis, "sides"), side_names(diagnosis), strict=True)
    ]
    found = diagnosis | {
        "sides": sides,
        "comparisons": [renamed(c) for c in records(diagnosis, "comparisons")],
    }
    if steps:
        found["path"] = diagnosis["path"] | {"steps": [renamed(step) for step in steps]}
    return found


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
class Comparison:
    """Two sides compared: `raw` as in `diagnosis.json`."""

    number: int
    before: str
    after: str
    gain: Gain
    raw: Raw

    @property
    def title(self) -> str:
        return f"{self.before} → {self.after}"

    @property
    def sentence(self) -> str:
        return str((self.raw.get("verdict") or {}).get("sentence") or "No verdict was reached.")

    @property
    def action(self) -> str | None:
        return (self.raw.get("verdict") or {}).get("action")

    @property
    def evidence(self) -> list[str]:
        return [str(line) for line in (self.raw.get("verdict") or {}).get("evidence") or ()]

    @property
    def headline(self) -> tuple[str, str]:
        """What is said first, and the rest of it."""
        return headline(self.sentence)


def comparisons(diagnosis: Raw) -> list[Comparison]:
    """The whole way first, then the others from the same beginning, then the rest, each in the log's order."""
    found = [
        Comparison(i, str(raw.get("before")), str(raw.get("after")), gain_of(raw), raw)
        for i, raw in enumerate(records(diagnosis, "comparisons"))
    ]
    start = [one for one in found if one.before == found[0].before]
    return start[-1:] + start[:-1] + [one for one in found if one not in start]


def problems_differ(found: list[Comparison]) -> bool:
    """Whether comparisons are over different numbers of problems, so that their gains do not add up."""
    return len({one.raw.get("problems") for one in found}) > 1


def path_note(diagnosis: Raw) -> str:
    """Which problems the steps of a path are over, and why their gains are not those of the comparisons."""
    path = record(diagnosis, "path")
    sizes = [size for size in path.get("problems") or [] if isinstance(size, int)]
    if not sizes:
        return ""
    if not path.get("paired"):
        ends = " to ".join(plain(size) for size in sorted({min(sizes), max(sizes)}))
        return f"Each checkpoint has problems of its own ({ends}); strata weigh their mean part over all checkpoints."
    text = f"Steps are over the {plain(sizes[0])} problems that all {len(sizes)} checkpoints answered"
    found = comparisons(diagnosis)
    others = [one for one in found if one.raw.get("problems") != sizes[0]]
    if not others:
        return f"{text}."
    most = max(others, key=lambda one: one.raw.get("problems") or 0)
    return (
        f"{text}; a comparison is over all that its own two sides answered ({plain(most.raw.get('problems'))} for "
        f"{most.title}), so that its gain may differ."
    )


def gain_of(raw: Raw, name: str | None = None) -> Gain:
    title = name or f"{raw.get('before')} → {raw.get('after')}"
    return Gain(title, number(raw.get("gain")), {term: number(raw.get(term)) for term in TERMS}, raw)


def headline(sentence: str) -> tuple[str, str]:
    """Splits after the first sentence, or after its first clause where that is long."""
    end = re.search(r"(?<=[.!?])\s+(?=[A-Z0-9])", sentence)
    first, rest = (sentence[: end.start()], sentence[end.end() :]) if end else (sentence, "")
    if len(first) > 130 and (clause := re.search(r": ", first[40:])):
        at = 40 + clause.start()
        first, tail = first[:at] + ".", first[at + 2 :]
        rest = f"{tail[:1].upper()}{tail[1:]} {rest}".strip()
    return first, rest


def notes(one: Comparison, by: list[str]) -> list[str]:
    """What has to be said beside a gain."""
    raw = one.raw
    found = [f"Strata by {', '.join(by)}." if by else "All problems as one stratum."]
    paired = raw.get("paired") is not False
    if not paired:
        found.append("The problems before are not those after: strata are compared in their place.")
    if raw.get("order_dependent"):
        found.append("Selecting first or improving first gives another answer.")
    share = finite(raw.get("unsupported_share"))
    if share is not None:
        found.append(
            f"{percent(share)}% of responses follow a strategy that the other side does not use there."
        )
    first, last = finite(raw.get("length_before")), finite(raw.get("length_after"))
    if first and last is not None:
        lengths = f"{plain(round(first))} → {plain(round(last))}"
        found.append(f"Mean length of a response: {lengths} ({signed(last / first - 1, 0)}%).")
    left = [raw.get(f"left_out_{side}") for side in ("before", "after")]
    if any(left):
        which = "of one side only" if paired else "of strata without two problems on either side"
        found.append(f"Problems {which}, left out: {plain(left[0])} before, {plain(left[1])} after.")
    if not one.gain.gain.has_interval:
        return [*found, f"{plain(raw.get('problems'))} problems: no interval is made of so few."]
    return [*found, *(f"Intervals may be too narrow: {reason}." for reason in raw.get("weak") or ())]


def leads(one: Comparison) -> tuple[int, int, int]:
    """Of other groupings of the strategies: all, those with the same lead, and those that turn it round."""
    changes = records(one.raw, "robustness")
    lead = one.raw.get("lead")
    same = sum(change.get("lead") == lead for change in changes)
    turned = sum(change.get("lead") not in (lead, "undecided", None) for change in changes)
    return len(changes), same, 0 if lead == "undecided" else turned


def robustness_text(one: Comparison) -> str:
    total, same, turned = leads(one)
    if one.raw.get("paired") is False:
        return (
            "Other groupings of the strategies are tried only where the problems are the same on both sides."
        )
    if not total:
        return "There are too few strategies to group them otherwise."
    lead = one.raw.get("lead")
    merged = sum(str(row.get("change")).startswith("merge") for row in records(one.raw, "robustness"))
    kinds = f" ({merged} merged, {total - merged} split further)" if merged < total else ""
    where = f"In {same} of {total} other groupings of the strategies{kinds}"
    if lead == "undecided":
        return f"{where} it stays undecided whether selection or improvement is larger."
    other = "improvement" if lead == "selection" else "selection"
    return f"{where} {lead} stays larger than {other}{f'; in {turned} it turns round' if turned else ''}."


def sensitivity_text(one: Comparison) -> str:
    """How large a label error would change the answer."""
    doubt = record(record(one.raw, "label_error"), "sensitivity")
    return str(doubt.get("sentence") or "")


def corrected_text(one: Comparison) -> str:
    """What hand labels make of the terms, or why they make nothing of them; nothing without hand labels."""
    found = record(one.raw, "label_error")
    if found.get("refused"):
        return f"The terms were not corrected by the hand labels: {found['refused']}."
    fixed = record(found, "corrected")
    if not fixed:
        return ""
    lead = fixed.get("lead")
    leads = "it is open which is larger" if lead == "undecided" else f"{lead} is larger"
    parts = [
        f"{name.replace('_', ' ')} {signed(one.value)} {signed_interval(one)}".rstrip()
        for name, one in ((name, number(fixed.get(name))) for name in TERMS)
    ]
    return f"Corrected by the hand labels {leads}: {', '.join(parts)}."


def side_names(diagnosis: Raw) -> list[str]:
    return [str(side.get("name")) for side in records(diagnosis, "sides")]


def interval_name(diagnosis: Raw) -> str:
    level = finite(diagnosis.get("level"))
    return "95%" if level is None else f"{100 * level:g}%"


def stratum_name(row: Raw, by: list[str]) -> str:
    """``gsm8k, 3`` for the row's values of the columns `by`."""
    return ", ".join(plain(row.get(name)) for name in by) or "all problems"
