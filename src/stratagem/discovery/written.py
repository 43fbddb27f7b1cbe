"""Proposals as a TOML file, for a person to name, merge and drop; what was measured stands in comments."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from stratagem.discovery.result import Discovery, OnSide, Phrase, Proposal
from stratagem.report.diagnosis_view import seen

LONGEST = 1_500  # characters of an example: two thirds from its start, one from its end
HEADER = """\
# Ways of writing that recur among responses to the same problem. Whether they are strategies is for you to say:
# give each section a name, say in its description how such a response solves the problem, and delete sections that
# are no strategy. To merge two, delete one and move its examples. Then label some responses by hand:
#
#   stratagem annotate {logs} --strategies {file} --out labels.csv
#
# In phrases N is a number, V a letter and P a word of the problem; shares are those of responses that show a phrase,
# here and elsewhere.
"""


def as_toml(discovery: Discovery, file: str) -> str:
    """The file's content; its sections are strategies as `annotate` takes them.

    Args:
        file: its name, for the advice at its top.
    """
    parts = [HEADER.format(logs=_line(" ".join(discovery.logs)), file=_line(file))]
    parts += [_section(proposal) for proposal in discovery.proposals]
    return "\n".join(parts)


def _section(proposal: Proposal) -> str:
    lines = [f"# {on_side(side)}" for side in proposal.sides]
    lines += [f"# {line}" for line in marked(proposal)]
    lines.append(f"# phrases: {said(proposal.phrases)}")
    lines.append(f"# {structure(proposal)}")
    lines.append(f"[strategies.{proposal.name}]")
    telling = ", ".join(phrase.text for phrase in proposal.phrases[:5]) or "less than others"
    lines.append(f"description = {_text(f'shows more often than others: {telling}')}")
    examples = [_cut(text) for side in proposal.sides for text in side.examples]
    lines += ["examples = [", *(f"  {_text(text)}," for text in examples), "]", ""]
    return "\n".join(lines)


def on_side(side: OnSide) -> str:
    """What a proposal is in one log."""
    right = "" if math.isnan(side.accuracy) else f", {side.accuracy:.1%} right"
    return _line(f"{side.log}: {side.share:.1%} of the responses{right}")


def marked(proposal: Proposal) -> list[str]:
    """What it follows, in words."""
    return [
        f"FOLLOWS THE {what.upper()}, with which {proposal.follows[what]:.0%} of it goes: perhaps no strategy"
        for what in proposal.marks
    ]


def said(phrases: Sequence[Phrase]) -> str:
    """Phrases with their shares in one line."""
    return (
        _line("; ".join(f"{each.text} ({each.share:.0%}, {each.elsewhere:.0%})" for each in phrases))
        or "none"
    )


def structure(proposal: Proposal) -> str:
    """Medians here and elsewhere."""
    return "medians (elsewhere): " + ", ".join(
        f"{getattr(proposal.form, name):,.0f} {what} ({getattr(proposal.elsewhere, name):,.0f})"
        for name, what in (
            ("characters", "characters"),
            ("lines", "lines"),
            ("numbers", "numbers"),
            ("equals", "equals signs"),
        )
    )


def _line(text: str) -> str:
    """One line that can do nothing to what stands around it."""
    return seen(" ".join(text.split()))


def _text(text: str) -> str:
    """A TOML string: JSON's are, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    head = LONGEST * 2 // 3
    return f"{text[:head]} … {text[head - LONGEST :]}"
