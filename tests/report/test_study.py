"""The page holds what it should, nothing more can run in it, and a browser draws it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import msgspec
import polars as pl
import pytest

from stratagem.report import study, view
from stratagem.study_result import ArmGain
from tests.report.synthetic_study import CELLS, RUNS, Inputs, make, typed

Browse = Callable[..., tuple[str, list[str]]]
HOSTILE = (
    '</script><script>document.title="taken"</script><img src=x onerror="document.title=1">{{ 7*7 }}<!--'
)


class Reader(HTMLParser):
    """Text outside scripts and styles, all attributes, and the names of the tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self._skip = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in ("script", "style"):
            self._skip = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skip:
            self._skip = ""

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def emptied(value: Any, name: str = "") -> Any:
    """The same shape with every number gone that may be undefined."""
    if isinstance(value, dict):
        return {key: emptied(entry, key) for key, entry in value.items() if key != "bounds"}
    if isinstance(value, list):
        return [emptied(entry) for entry in value]
    return None if isinstance(value, float) and name not in ("level", "temperature") else value


def specs(page: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="specs">(.*?)</script>', page, re.S)
    assert match
    return json.loads(match[1])["charts"]


def test_the_answer_comes_first_and_every_part_is_there(page: str, inputs: Inputs) -> None:
    text = Reader(page).text
    order = [
        inputs.summary["answer"],
        "Select or improve",
        "Table 1, ours beside",
        "24 of this run's 27 accuracies lie within the range of the 2 replicates",
        "The study’s claims",
        "While RL ran",
        "When it selected, when it improved",
        "Where the gain came from",
        "Every way to account for the gain",
        "Which errors went away",
        "Given several attempts",
        "The same problem, before and after",
        "Method",
        "What differs from the study",
        "Versions",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    for claim in inputs.summary["claims"]:
        assert claim["statement"] in text
    for row in inputs.summary["deviations"]:
        assert row["reason"] in text
    assert "−" in text
    assert "+12.0 … +46.0" in text  # bounds are a range, not a point
    assert "95.7" in text
    assert "operand lookup" in text


def test_curves_of_the_file_and_cross_entropies_are_shown(page: str) -> None:
    text = Reader(page).text
    assert "Arms side by side" in text
    assert "Forward in training" in text
    assert "F/SFT 0.0858 [0.0854, 0.0862]" in text
    found = re.search(r'<script type="application/json" id="specs">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    drawn = {
        row["line"]: (row, chart)
        for chart in json.loads(found[1])["charts"].values()
        for row in chart.get("data", {}).get("values", [])
        if "line" in row
    }
    point, chart = drawn["FB/RL(2-5)"]
    assert point == {"line": "FB/RL(2-5)", "x": 90, "value": 86.0, "low": 81.0, "high": 91.0}
    assert [layer["mark"]["type"] for layer in chart["layer"]] == ["area", "line"]
    point, chart = drawn["longer"]
    assert point == {"line": "longer", "x": "FB/RL(6-9)", "value": 95.7, "low": 92.7, "high": 98.7}
    assert [layer["mark"]["type"] for layer in chart["layer"]] == ["rule", "line"]


def test_paths_are_on_one_scale_and_end_at_their_sums(page: str, inputs: Inputs) -> None:
    drawn = [chart for chart in specs(page).values() if "up to update" in json.dumps(chart)]
    assert len(drawn) == len(inputs.summary["paths"])
    domains = {
        json.dumps(layer["encoding"]["y"]["scale"]["domain"])
        for chart in drawn
        for layer in chart["layer"][2:]
    }
    assert len(domains) == 1
    last = drawn[-1]["layer"][2]["data"]["values"][2]  # of FB/RL(6-9): selection after all updates
    assert (last["term"], last["update"], last["value"], last["low"]) == ("Selection", 36, 29.6, 27.6)


def test_a_run_without_a_path_is_named(inputs: Inputs) -> None:
    raw = copy.deepcopy(inputs.summary)
    last = raw["paths"].pop()["arm"]
    page = study.render(typed(raw), inputs.rollouts, inputs.curves, inputs.metrics)
    assert f"Not shown: {last}, where some part" in Reader(page).text
    assert "Not shown:" not in Reader(study.render(*inputs.all())).text


def test_every_chart_has_a_place_and_values(page: str) -> None:
    charts = specs(page)
    boxes = re.findall(r'<div class="chart" id="([^"]+)"', page)
    assert sorted(boxes) == sorted(charts)
    assert len(charts) >= 30
    assert all(spec["layer"] for spec in charts.values())


def test_nothing_is_fetched(page: str) -> None:
    for tag, name, value in Reader(page).attributes:
        assert name not in ("src", "srcset", "data", "poster", "action"), (tag, name, value)
        assert name != "href" or value.startswith("#"), (tag, value)
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "default-src 'none'" in page
    assert "unsafe-eval" not in page
    assert "script-src 'unsafe-inline'" not in page


def test_what_models_and_users_wrote_is_escaped() -> None:
    data = make(problems=8, samples=2, updates=3)
    data.summary["answer"] = data.summary["claims"][0]["statement"] = HOSTILE
    data.summary["settings"][HOSTILE] = HOSTILE
    rollouts = data.rollouts.with_columns(
        completion=HOSTILE + pl.col("completion"),
        prompt=pl.lit(HOSTILE),
        strategy=pl.lit(HOSTILE),
        error=pl.lit(HOSTILE),
    )
    curves = data.curves.with_columns(strategy=pl.lit(HOSTILE) + pl.col("strategy"))
    html = study.render(typed(data.summary), rollouts, curves, data.metrics)
    assert HOSTILE not in html
    assert "img" not in Reader(html).tags
    assert html.count("<script") == 3 == html.count("</script>")
    assert "{{ 7*7 }}" in Reader(html).text


def test_which_part_leads_is_one_sentence_and_none_where_the_order_decides() -> None:
    """Table 1 as it was published once: selection +25.0 select first, +43.4 improve first."""

    def term(value: float) -> dict[str, Any]:
        return {"value": value, "low": value - 0.02, "high": value + 0.02, "se": 0.01, "n": 480}

    routed = {
        "gain": term(0.2),
        "selection": term(0.25),
        "improvement": term(-0.05),
        "new_strategy": term(0.0),
        "reverse": {"selection": term(0.24), "improvement": term(-0.04), "new_strategy": term(0.0)},
        "lead": "selection",
        "order_dependent": False,
    }
    both = routed | {
        "gain": term(0.576),
        "selection": term(0.25),
        "improvement": term(0.326),
        "reverse": {"selection": term(0.434), "improvement": term(0.142), "new_strategy": term(0.0)},
        "lead": "improvement",
        "order_dependent": True,
    }
    replicated = routed | {"lead": "undecided"}
    runs = [
        view.Gain(cell, "start", msgspec.convert(result, ArmGain))
        for cell, result in (("A", routed), ("B", both), ("C", routed), ("D", replicated))
    ]
    assert view.leads(runs) == [
        "A, C: select, then improve: more by selection than by improvement.",
        "B: it depends on the order of counting whether selection or improvement moved it more: selection is +25.0 to "
        "+43.4 points and improvement +14.2 to +32.6 points, whichever is counted first.",
        "D: select, then improve: it is open whether selection or improvement moved it more.",
    ]


def test_missing_numbers_are_dashes_and_never_zero() -> None:
    data = make(problems=6, samples=1, updates=1)
    summary = emptied(data.summary)
    html = study.render(typed(summary), data.rollouts, data.curves, data.metrics)
    table = re.search(r'<table class="table1">(.*?)</table>', html, re.S)
    assert table
    text = Reader(table[1]).text
    assert text.count("study –") == 3 * len(CELLS)
    assert "0.0" not in text
    assert "nan" not in Reader(html).text.lower().split()


def test_cells_and_gains_may_be_missing_altogether() -> None:
    data = make(problems=6, samples=1, updates=1)
    summary = copy.deepcopy(data.summary)
    summary["cells"]["FB/RL(6-9)"] = {}
    del summary["cells"]["F/SFT"]
    summary["gains"] = {"FB/RL(6-9)": {}}
    for part in ("claims", "deviations", "curves", "paths"):
        summary[part] = []
    summary["shipped"] = None
    html = study.render(typed(summary), data.rollouts.clear(), data.curves.clear(), data.metrics.clear())
    assert "study 57.0 <span>(–)" in html
    assert len(specs(html)) == 1


def test_several_seeds_are_faint_lines_around_one() -> None:
    data = make(problems=6, samples=2, updates=30, seeds=(0, 1, 2))
    html = study.render(*data.all())
    assert "3 replicates" in html
    curve = next(s for s in specs(html).values() if '"rate"' in json.dumps(s))
    rows = [row for layer in [curve, *curve["layer"]] for row in layer.get("data", {}).get("values", [])]
    assert {row["seed"] for row in rows if "rate" in row} == {None, 0, 1, 2}


def test_a_long_run_stays_small() -> None:
    data = make(problems=24, samples=4, updates=1000, seeds=(0, 1))
    data.rollouts = data.rollouts.with_columns(completion=pl.col("completion") + pl.lit("x" * 50_000))
    html = study.render(*data.all())
    assert len(html) < 5_000_000
    assert "more characters" in html


def test_each_run_has_traces(page: str) -> None:
    traces = page[page.index('id="traces"') : page.index('id="method"')]
    for run in RUNS:
        assert run in traces
    assert "<mark title=" in traces
    assert "<ins>" in traces


def test_a_browser_draws_every_open_chart(page: str, browse: Browse) -> None:
    dom, console = browse(page)
    assert not console
    assert 'data-ready="true"' in dom
    assert "data-errors" not in dom
    assert dom.count('class="marks"') == len(re.findall(r'data-drawn="true"', dom))
    closed = re.search(r"<details><summary>How training went.*?</details>", page, re.S)
    assert closed  # its charts are drawn when it opens, or at once where a browser knows their width
    assert dom.count('class="marks"') >= len(specs(page)) - closed[0].count('class="chart"')
    assert "Save as PNG" in dom
    assert "Save as SVG" in dom
    assert "Open in Vega Editor</a>" not in dom


@pytest.mark.parametrize("empty", [False, True])
def test_a_phone_needs_no_sideways_scroll(page: str, inputs: Inputs, browse: Browse, empty: bool) -> None:
    if empty:
        page = study.render(typed(emptied(inputs.summary)), inputs.rollouts, inputs.curves, inputs.metrics)
    # An outer page with a frame of 390 px: the width that a phone gives, whatever the browser's least window.
    inner = page.replace("&", "&amp;").replace('"', "&quot;")
    probe = """<script>
      const look = () => {
        const root = frame.contentDocument.documentElement;
        if (!root.dataset.ready) return setTimeout(look, 50);
        const wide = [...frame.contentDocument.querySelectorAll("body *")].filter((e) =>
          e.getBoundingClientRect().right > 391 && !e.closest(".scroll, .vega-actions, svg"));
        document.body.dataset.width = root.scrollWidth;
        document.body.dataset.wide = wide.map((e) => e.tagName + "." + e.className).join(" ");
      };
      onload = look;
    </script>"""
    frame = f'<iframe id="frame" width="390" height="800" style="border:0" srcdoc="{inner}"></iframe>'
    dom, _ = browse(f'<meta charset="utf-8"><body>{probe}{frame}</body>')
    assert 'data-width="390"' in dom
    assert 'data-wide=""' in dom


def test_markup_in_completions_does_nothing_in_a_browser(browse: Browse) -> None:
    data = make(problems=6, samples=1, updates=2)
    rollouts = data.rollouts.with_columns(completion=HOSTILE + pl.col("completion"), prompt=pl.lit(HOSTILE))
    dom, console = browse(study.render(typed(data.summary), rollouts, data.curves, data.metrics))
    assert not console
    assert "<title>Stratagem: select or improve</title>" in dom
    assert 'data-ready="true"' in dom


def test_the_words_of_the_study_are_explained_before_they_are_used(page: str) -> None:
    text = Reader(page).text
    about = "Evaluation asks for the chain's result, inversion for its start."
    assert text.count(about) == 1
    assert text.index(about) < text.index("Select or improve")
    assert text.index("Models learn F, B or both.") < text.index("Select or improve")
