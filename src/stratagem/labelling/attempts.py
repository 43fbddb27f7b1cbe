"""Long responses cut into attempts: words such as "Wait" or "Alternatively" turn to another one.

A turn counts where something has been calculated since the attempt began, so that "Hmm. Wait, let me read that again."
opens no attempt of its own. What follows "Wait, let me check" is the same attempt: a check is no other way. Nor is a
remark such as "Wait, but I already have that".
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from stratagem.labelling.patterns import ascii_classes

_OPENING = r"(?:(?:[Ss]o|[Oo]kay|O[Kk]|[Bb]ut|[Mm]aybe|[Pp]erhaps|[Nn]ow),? )?"
_WE = r"(?:[Ll]et me|[Ll]et[\x27’]s|[Ll]et us|I[\x27’]ll|I will|I should|I need to|[Ww]e should)"
_AGAIN = r"start (?:over|again|from scratch)|begin again|go back|re-?(?:think|consider|calculate|compute|do|examine)\b"
_TRY = (
    r"try (?:(?:it|this|that|once) )?(?:again|another|something|different|an? (?:new|different|simpler|other)|working"
    r"|using|to (?:use|work|solve|do|compute|calculate|think|approach))\b"
)
# Words at the beginning of a sentence or a line.
TURNS = (
    r"(?:[Oo]h,? |[Bb]ut |[Nn]o[,.] |[Hh]m+[,.…]* )?[Ww]ait"
    r"\**(?:[,.!?:…—-]| (?:a (?:minute|second|moment)|no|but|let|that)\b)",
    r"(?:[Hh]m{2,}|[Hh]old on|[Aa]lternatively|[Oo]n second thoughts?|[Ss]cratch that)\b",
    r"[Aa]ctually,",
    r"(?:[Aa]nother|[Aa] different|[Aa] second) (?:way|approach|method|idea)\b",
    rf"{_OPENING}{_WE} (?:now |just |instead )?(?:{_TRY}|try[:,] |{_AGAIN})",
    rf"{_OPENING}{_WE} (?:think|approach (?:this|it)) (?:again|differently)\b",
    rf"{_OPENING}{_WE} consider (?:another|a different) (?:way|approach|method)\b",
    r"(?:I|[Ww]e)(?: must have| have|[\x27’]ve)? made (?:a|an) (?:\w+ )?(?:mistake|error)\b",
)
# What a turn may lead to without beginning another attempt.
CHECKS = (
    r"(?:[Ll]et me|[Ll]et[\x27’]s|[Ll]et us|I[\x27’]ll|I will|I should|I need to|[Ww]e can|[Ww]e should|I can|[Tt]o)"
    r" (?:just |also |quickly )?(?:double[- ]?check|check|verify|confirm|make sure)"
)
# A doubt or a remark: what was found is looked at, and no other way begins.
REMARKS = (
    r"(?:[Bb]ut )?[Ww]ait(?: a (?:minute|second|moment))?,? (?:but|actually|is (?:that|this|there|it)"
    r"|(?:that|this)(?:[\x27’]s interesting| seems| looks| contradicts| makes sense))\b"
)
# The reasoning ends, and a write-up follows.
ENDS = r"</think>|<\|end_of_thought\|>"
# An operation, or an equation with numbers or of names.
CALCULATES = (
    r"\d%?\)? ?(?:[-+*/×÷^]|\\times|\\cdot|\\div) ?\(?[$]?\d"
    r"|[=≈] ?(?:\\\$|[$(-])*\d|\d\)? ?[=≈]|\\d?frac|[\w)}] ?= ?[\w\\(-]"
)
_BEFORE = r"(?P<before>(?:^|[\n.!?…:;)\]}—][*_\x22\x27)\]]*)[\s*_>\x22\x27(#-]*)"
# Characters that no text holds: Unicode keeps them for the use of programs.
_CUT, _KEPT = "\ufdd0", "\ufdd1"


def attempts(text: pl.Expr, turns: Sequence[str] = ()) -> pl.Expr:
    """The attempts of a text, a list of its pieces in their order; joined they are the text. Null for null.

    Args:
        turns: patterns of words that begin an attempt, at the start of a sentence or a line; `TURNS` if there are none.
    """
    words = "|".join(turns or TURNS)
    turn = ascii_classes(rf"{_BEFORE}(?P<turn>{words})|(?P<tag>{ENDS})")
    kept = ascii_classes(rf"{_BEFORE}(?P<check>(?:{words})[\s,.!…-]*(?:[Bb]ut |[Ss]o )?{CHECKS}|{REMARKS})")
    turning = text.str.contains(turn) & ~text.str.contains(f"[{_CUT}{_KEPT}]")
    long = (
        pl.when(turning)
        .then(text)
        .str.replace_all(kept, f"${{before}}{_KEPT}${{check}}")
        .str.replace_all(turn, f"${{before}}{_CUT}${{tag}}${{turn}}")
        .str.replace_all(_KEPT, "", literal=True)
    )
    # A piece that calculates ends its attempt; one that does not goes with the next, or the last with the one before.
    piece = pl.element()
    ends = pl.when(piece.str.contains(ascii_classes(CALCULATES))).then(piece + _CUT).otherwise(piece)
    joined = long.str.split(_CUT).list.eval(ends).list.join("").str.replace(f"{_CUT}([^{_CUT}]*)$", "${1}")
    return pl.when(turning).then(joined.str.split(_CUT)).when(text.is_not_null()).then(pl.concat_list(text))
