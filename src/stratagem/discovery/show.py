"""Proposals in a terminal of 80 columns, the answer first."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from stratagem.discovery.result import Discovery
from stratagem.discovery.written import marked, on_side, said, structure

WIDTH = 80


def show_discovery(discovery: Discovery, console: Console) -> None:
    """Prints the result."""
    width = min(console.width, WIDTH)

    def put(text: str = "", style: str = "") -> None:
        console.print(Text(text, style=style), width=width, highlight=False)

    put(headline(discovery), "bold")
    for proposal in discovery.proposals:
        put()
        put(proposal.name, "bold")
        for side in proposal.sides:
            put(f"  {on_side(side)}")
        for line in marked(proposal):
            put(f"  {line}", "yellow")
        put(f"  phrases (here, elsewhere): {said(proposal.phrases)}")
        put(f"  {structure(proposal)}", "dim")
    if not discovery.proposals:
        for tried in discovery.tried:
            put(f"  {tried.clusters} clusters: {tried.reason}", "dim")


def headline(discovery: Discovery) -> str:
    """How many proposals there are, and how sure."""
    seen = f"{discovery.responses:,} responses to {discovery.problems:,} problems"
    if not discovery.proposals:
        return (
            f"No strategies to propose: in {seen} no ways of writing recur that are stable and stand apart."
        )
    return (
        f"{len(discovery.proposals)} proposals in {seen}; halves of the problems agree on them by "
        f"{discovery.agreement:.2f} (adjusted Rand index, 1 is the same)."
    )
