"""A problem's content: a chain of operations with the states between them.

States and operands are symbol indices, 0 to p - 1; which residue a symbol stands for, the field says.
"""

from __future__ import annotations

from dataclasses import dataclass

EVALUATION, INVERSION = "evaluation", "inversion"
KINDS = (EVALUATION, INVERSION)
LABELS = 64  # step labels #0 … #63
MAX_STEPS = 20
UNDO = {"+": "-", "*": "/", "-": "+", "/": "*"}


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: label, operator (``+`` ``*``; undone ``-`` ``/``) and the operand's symbol index."""

    label: int
    operator: str
    operand: int

    def undone(self) -> Step:
        return Step(self.label, UNDO[self.operator], self.operand)


@dataclass(frozen=True, slots=True)
class Chain:
    """A problem's content. States are symbol indices: ``states[0]`` the start, ``states[-1]`` the result."""

    kind: str
    steps: tuple[Step, ...]
    states: tuple[int, ...]
    residues: tuple[int, ...]  # residues[i] is what symbol i stands for

    @property
    def given(self) -> int:
        return self.states[0] if self.kind == EVALUATION else self.states[-1]

    @property
    def asked(self) -> int:
        return self.states[-1] if self.kind == EVALUATION else self.states[0]
