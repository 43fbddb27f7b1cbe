"""What every page of the project shares: its shell, its charts, and a policy under which nothing else can run."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jinja2

from stratagem.report import charts, format
from stratagem.report.bundle import bundle

Placed = dict[str, str]  # a chart's id, label and title, for the template


@dataclass
class Charts:
    """Specifications by id, collected while the page's parts are built."""

    specs: dict[str, charts.Spec] = field(default_factory=dict[str, charts.Spec])

    def add(self, spec: charts.Spec, label: str, title: str = "") -> Placed:
        """Keeps a chart; returns what the template needs to place it."""
        name = f"chart-{len(self.specs)}"
        self.specs[name] = spec
        return {"id": name, "label": label, "title": title}


def render(
    template: str,
    context: dict[str, Any],
    kept: Charts,
    scripts: Sequence[str] = (),
    package: str = "stratagem.report",
    draws: bool = True,
) -> str:
    """A page as HTML text, without any link to another file.

    Its scripts are named by hash in its content security policy, so nothing that a model wrote can run; what
    comes from outside is escaped by the template.

    Args:
        template: one that extends page.html.
        kept: the charts that the context places.
        scripts: templates of scripts beside those that draw the charts.
        package: whose templates; those of this one are there too.
        draws: whether there are charts, now or later; a page of tables needs no scripts.
    """
    environment = _environment(package)
    drawing = (bundle(), environment.get_template("page.js").render()) if draws else ()
    sources = [*drawing, *(environment.get_template(name).render() for name in scripts)]
    shared: dict[str, Any] = {
        "scripts": sources,
        "hashes": [_integrity(source) for source in sources],
        "specs": {"config": charts.CONFIG, "charts": kept.specs},
        "ink": {"ink": charts.INK, "muted": charts.MUTED, "grid": charts.GRID},
    }
    return environment.get_template(template).render(context | shared)


def embed(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or opens a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _integrity(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _environment(package: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("stratagem.report")]),
        # Everything is escaped but the scripts and the style sheets, which hold nothing from outside.
        autoescape=lambda name: name is None or not name.endswith((".js", ".css")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": format.percent,
        "signed": format.signed,
        "interval": format.interval,
        "signed_interval": format.signed_interval,
        "bounds": format.bounds_text,
        "number": format.number,
        "plain": format.plain,
        "words": format.words,
    }
    return environment
