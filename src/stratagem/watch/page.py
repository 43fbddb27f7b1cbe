"""The page of a run that is going on, made anew whenever the run has moved on."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stratagem.records import StratagemError
from stratagem.report import charts, page
from stratagem.report.page import Charts, Placed
from stratagem.watch.charts import Kept
from stratagem.watch.parts import parts
from stratagem.watch.responses import ASKED, Asked
from stratagem.watch.source import Source, find

EVERY = 2.0  # seconds between two looks of the page
SHARE = 0.05  # of a core that looking may take, since the run may need it
PACKAGE = "stratagem.watch"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows at a moment: the HTML of its parts, its charts, and a key that changes with them."""

    key: str
    html: str
    charts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"seen": self.key, "html": self.html, "charts": self.charts, "now": time.time()}


class Named(Charts):
    """Charts by their labels: one that appears later changes the name of no other, so each is kept where it is."""

    def add(self, spec: charts.Spec, label: str, title: str = "") -> Placed:
        """Keeps a chart; a label names one chart of a page."""
        name = f"chart-{hashlib.sha256(label.encode()).hexdigest()[:12]}"
        self.specs[name] = spec
        return {"id": name, "label": label, "title": title}


class Watched:
    """A folder that is watched. Which kind of run it is shows as soon as something is there.

    Args:
        asked: what the user says of a run of TRL or verl.

    Raises:
        StratagemError: the folder holds something that cannot be watched, or cannot come to be.
    """

    def __init__(self, out: Path, asked: Asked = ASKED) -> None:
        self.out = out.parent / out.name.removesuffix(".partial") if out.name != ".partial" else out
        self._asked = asked
        self._made = Kept()
        self._shown: Shown | None = None
        self._next = 0.0
        self._source: Source | None = find(self.out, asked)
        if self._source is None and not self.out.absolute().parent.is_dir():
            raise StratagemError(
                f"{out}: no such folder, and {self.out.absolute().parent} is not there either"
            )

    def show(self) -> Shown:
        """The page's parts as the run stands now, or stood a moment ago: looking takes little of a core."""
        now = time.monotonic()
        if self._shown is None or now >= self._next:
            self._shown = self._look()
            self._next = time.monotonic() + (time.monotonic() - now) / SHARE
        return self._shown

    def _look(self) -> Shown:
        if self._source is None:
            self._source = find(self.out, self._asked)
        kept = Named()
        context = {"name": self.out.name or str(self.out)} | parts(
            kept, self._made, self._source, self.out.name
        )
        html = page.render("_watch.html", context, kept, package=PACKAGE)
        key = hashlib.sha256((html + json.dumps(kept.specs)).encode()).hexdigest()[:16]
        return Shown(key, html, kept.specs)


def shell(shown: Shown, name: str) -> str:
    """The whole page, which then keeps itself up to date from ``data``."""
    context = {"name": name, "shown": shown.html, "every": EVERY, "charts": page.embed(shown.as_json())}
    return page.render("watch.html", context, Charts(), ["watch.js"], PACKAGE)
