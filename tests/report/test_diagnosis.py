"""The page of a diagnosis holds what it should, nothing in it can run, and its browser works in a browser."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl
import pytest

from stratagem.report import diagnosis as page_of
from stratagem.report.diagnosis import render
from stratagem.report.diagnosis_view import headline, seen, short, tidy
from tests.report.hostile import MARKUP, TEXTS
from tests.report.synthetic_diagnosis import STRATEGIES, make, rollouts
from tests.report.test_table1 import Reader, emptied, specs

Browse = Callable[..., tuple[str, list[str]]]
Act = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def one() -> dict[str, Any]:
    return make()


@pytest.fixture(scope="module")
def page(one: dict[str, Any]) -> str:
    return render(one, rollouts(one))


@pytest.fixture
def act(browse: Browse) -> Act:
    """A function that opens a page in a frame of some width, runs a script on its document `d`, window `w`, and
    gives what the script leaves in `out`."""

    def acted(html: str, script: str, width: int = 1280) -> dict[str, Any]:
        inner = html.replace("&", "&amp;").replace('"', "&quot;")
        probe = f"""<script>
          const pause = (ms) => new Promise((done) => setTimeout(done, ms));
          const look = async () => {{
            const d = frame.contentDocument, w = frame.contentWindow, out = {{}};
            if (!d.documentElement.dataset.ready) return setTimeout(look, 50);
            const all = (s) => [...d.querySelectorAll(s)];
            const pick = (label, value) => {{
              const home = all(".filters label").find((l) => l.firstChild.textContent === label);
              const box = home.querySelector("select, input");
              box.value = value;
              box.dispatchEvent(new w.Event(box.tagName === "INPUT" ? "input" : "change"));
            }};
            try {{ {script} }} catch (error) {{ out.error = String(error); }}
            const wide = all("body *").filter((e) => e.getBoundingClientRect().right > {width} + 1
              && !e.closest(".scroll, .vega-actions, svg, .items, .columns, .text, .prompt"));
            out.wide = [...new Set(wide.map((e) => e.tagName + "." + e.className))];
            out.title = d.title;
            out.failed = d.documentElement.dataset.errors ?? null;
            out.width = d.documentElement.scrollWidth;
            document.body.dataset.out = encodeURIComponent(JSON.stringify(out));
          }};
          onload = look;
        </script>"""
        frame = f'<iframe id="frame" width="{width}" height="900" style="border:0" srcdoc="{inner}"></iframe>'
        dom, console = browse(f"<body>{probe}{frame}</body>")
        found = re.search(r'data-out="([^"]*)"', dom)
        assert found, console
        out = json.loads(unquote(found[1]))
        assert out.get("error") is None
        assert out["failed"] is None
        assert not console
        return out

    return acted


# -- what the page says ------------------------------------------------------------------------------------


def test_the_answer_comes_first_and_every_part_is_there(page: str, one: dict[str, Any]) -> None:
    text = Reader(page).text
    verdict = one["verdict"]
    order = [
        verdict["sentence"][:40],
        "Next " + verdict["action"],
        *verdict["evidence"],
        "2 warnings about the logs",
        "What was read Method",  # the contents
        "Select or improve",
        "Every way to account for the gain",
        "Strategies",
        "Strata",
        "Behaviours",
        "Headroom",
        "pass@k",
        "Other strategies, same answer?",
        "In 6 of 7 other groupings",
        "Error of the labels",
        "Rollouts",
        "What was read",
        one["warnings"][1],
        "verl",
        "7: line is not JSON",
        "Rows left out of base",
        "Method",
    ]
    at = 0
    for part in order:
        assert part in text[at:], part
        at += text[at:].index(part) + len(part)
    for name in STRATEGIES:
        assert name in text
    assert f"{100 * one['gain']['value']:+.1f}" in text
    assert " … " in text  # bounds


def test_every_chart_has_a_place_and_values(page: str) -> None:
    charts = specs(page)
    assert sorted(re.findall(r'<div class="chart" id="([^"]+)"', page)) == sorted(charts)
    assert len(charts) == 7
    assert all(spec["layer"] for spec in charts.values())


def test_nothing_is_fetched(page: str) -> None:
    for tag, name, value in Reader(page).attributes:
        assert name not in ("src", "srcset", "data", "poster", "action"), (tag, name, value)
        assert name != "href" or value.startswith("#"), (tag, value)
    ids = set(re.findall(r' id="([^"]+)"', page))
    assert {value[1:] for _, name, value in Reader(page).attributes if name == "href"} <= ids
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style
    assert "url(" not in style[1]
    assert "default-src 'none'" in page
    assert "unsafe-eval" not in page


def test_without_texts_no_prompt_and_no_completion_is_there(one: dict[str, Any]) -> None:
    html = render(one, None)
    assert 'id="rollouts"' not in html
    assert "Rollouts" not in Reader(html).text
    assert "apples" not in html
    assert len(specs(html)) == 7


def test_five_afters_stand_side_by_side() -> None:
    diagnosis = make(5)
    html = render(diagnosis, None)
    text = Reader(html).text
    overview, path = list(specs(html).values())[:2]
    rows = [r for layer in [overview, *overview["layer"]] for r in layer.get("data", {}).get("values", [])]
    assert len({row["run"] for row in rows if "run" in row}) == 5
    assert html.count("<option value=") == 15
    assert html.count('class="one"') == 15 * 5
    assert len(re.findall(r'class="one" data-of="\d+">', html)) == 5  # one comparison is open in each part
    assert "From one log to the next" in text
    assert '"from"' in json.dumps(path)  # ranges are drawn
    assert "rl-step-500" in text[:400]  # the whole way is the answer


def test_many_checkpoints_are_lines() -> None:
    diagnosis = make(12, by=())
    whole = [
        one for one in diagnosis["comparisons"] if (one["before"], one["after"]) == ("base", "rl-step-1200")
    ]
    diagnosis |= {"sides": diagnosis["sides"][:1], "comparisons": whole}
    html = render(diagnosis, None)
    assert "Over checkpoints" in Reader(html).text
    path = list(specs(html).values())[1]
    assert "points of accuracy gained so far" in json.dumps(path)


def test_the_error_of_the_labels(one: dict[str, Any]) -> None:
    def text(error: dict[str, Any] | None) -> str:
        diagnosis = copy.deepcopy(one)
        diagnosis["comparisons"][0]["label_error"] = error
        found = Reader(render(diagnosis, None)).text
        start = found.index("Error of the labels")
        return found[start : found.index("What was read", start)]

    doubt = one["comparisons"][0]["label_error"]
    found = text(doubt)
    assert "A label error of 12% in one direction" in found
    assert "Selection includes 0 from, % 12% of 'cases' were truly 'direct' 12.0 –" in found
    assert "4% of all labels" not in found  # it changes nothing
    assert "was not measured" in found
    assert "was not measured" in text(None)
    cases = {"strategy": "cases", "precision": {"value": 0.87}, "recall": None}
    hand = {"scopes": [{"labelled": 123, "agreement": {"value": 0.91}, "strategies": [cases]}]}
    corrected = {name: {"value": 0.0625} for name in ("gain", "selection", "improvement", "new_strategy")}
    found = text(doubt | hand | {"corrected": corrected | {"lead": "selection"}})
    assert "123 responses were labelled by hand; the labels agree with 91.0 % of them" in found
    assert "cases 87.0 –" in found
    assert "Corrected for it, selection is the larger part" in found
    assert "corrected +6.2 +6.2 +6.2 +6.2" in found
    assert "not measured" not in found
    assert "not corrected for it: near-singular" in text(doubt | hand | {"refused": "near-singular"})


def test_missing_numbers_are_dashes_and_never_zero(one: dict[str, Any]) -> None:
    html = render(emptied(one), None)
    table = re.search(r'<table class="wide numbers">(.*?)</table>', html, re.S)
    assert table
    text = Reader(table[1]).text
    assert "–" in text
    assert "0.0" not in text
    assert "nan" not in Reader(html).text.lower().split()


@pytest.mark.parametrize(
    "gone", ["comparisons", "path", "sides", "warnings", "by", "strategy_names", "verdict"]
)
def test_parts_may_be_missing(gone: str) -> None:
    diagnosis = make(2)
    sample = rollouts(diagnosis, problems=2)
    diagnosis[gone] = [] if isinstance(diagnosis[gone], list) else None
    text = Reader(render(diagnosis, sample)).text
    assert "What was read" in text
    assert ("Nothing to compare" in text) == (gone == "comparisons")


def test_parts_of_a_comparison_may_be_missing(one: dict[str, Any]) -> None:
    for name in one["comparisons"][0]:
        diagnosis = copy.deepcopy(one)
        value = diagnosis["comparisons"][0][name]
        diagnosis["comparisons"][0][name] = [] if isinstance(value, list) else None
        assert "Method" in Reader(render(diagnosis, None)).text


def test_one_stratum_and_one_strategy() -> None:
    diagnosis = make(by=(), strategies=("direct",))
    html = render(diagnosis, rollouts(diagnosis, problems=2))
    text = Reader(html).text
    assert "All problems are one stratum" in text
    assert "Each strategy in each stratum" not in text


def test_wide_tables_end_somewhere() -> None:
    diagnosis = make(levels=200)
    html = render(diagnosis, None)
    assert len(diagnosis["comparisons"][0]["strata"]) == 600
    assert "400 more are in diagnosis.json" in Reader(html).text
    assert len(html) < 4_000_000


# -- what is safe ------------------------------------------------------------------------------------------


def test_what_models_and_users_wrote_is_escaped() -> None:
    def everywhere(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: everywhere(entry) for name, entry in value.items()}
        if isinstance(value, list):
            return [everywhere(entry) for entry in value]
        return f"{MARKUP}{value}" if isinstance(value, str) else value

    diagnosis = everywhere(make(2, by=()))
    sample = rollouts(make(2, by=()), problems=3, text=MARKUP).with_columns(
        pl.lit(MARKUP).alias(name) for name in ("prompt", "problem_id", "strategy", "finish_reason")
    )
    html = render(diagnosis, sample)
    assert MARKUP not in html
    assert "img" not in Reader(html).tags
    assert html.count("<script") == 5 == html.count("</script>")
    assert "{{ 7*7 }}" in Reader(html).text


def test_what_is_unseen_in_names_is_spelled_out() -> None:
    diagnosis = make()
    diagnosis["sides"][0]["name"] = diagnosis["comparisons"][0]["before"] = "run\u202egnp.exe\x00\udc80"
    html = render(diagnosis, rollouts(diagnosis, problems=1))
    assert "run⟨U+202E⟩gnp.exe⟨U+0000⟩⟨U+DC80⟩" in html
    assert not re.search("[\u202e\x00\udc80]", html)
    assert html.encode()


def test_the_page_has_a_limit(monkeypatch: pytest.MonkeyPatch, one: dict[str, Any]) -> None:
    monkeypatch.setattr(page_of, "LIMIT", 1_500_000)
    html = render(one, rollouts(one, problems=40, text="\u202e<&>" * 20_000))
    assert 1_300_000 < len(html.encode()) <= 1_500_000


def test_two_thousand_long_responses_fit(one: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(map(chr, rng.integers(32, 1000, 3000))) * 7 for _ in range(20)]
    sample = rollouts(one, problems=250, samples=4)
    sample = sample.with_columns(completion=pl.Series([texts[i % 20] for i in range(sample.height)]))
    html = render(one, sample)
    assert sample.height == 2000
    assert 15_000_000 < len(html.encode()) <= 25_000_000


# -- parts -------------------------------------------------------------------------------------------------


def test_headline() -> None:
    assert headline("It rose by 3.5 points. Answers grew.") == ("It rose by 3.5 points.", "Answers grew.")
    assert headline("It rose") == ("It rose", "")
    long = "Accuracy rose " + "very " * 30 + "much: selection added 3 points. More."
    assert headline(long) == ("Accuracy rose " + "very " * 30 + "much.", "Selection added 3 points. More.")


def test_short_and_seen() -> None:
    assert short("abcdefghij", 10) == "abcdefghij"
    assert short("abcdefghijk", 10) == "abcd…ghijk"
    assert seen("a\tb\nc") == "a\tb\nc"
    assert seen("\u2066\x9b") == "⟨U+2066⟩⟨U+009B⟩"
    assert len(tidy(["x" * 10**6])[0]) < 1100


# -- in a browser ------------------------------------------------------------------------------------------


def test_a_browser_draws_every_chart_and_shows_what_is_chosen(act: Act) -> None:
    diagnosis = make(2)
    out = act(
        render(diagnosis, rollouts(diagnosis)),
        """
        out.charts = all(".chart").filter((c) => c.clientWidth).length;
        out.drawn = all(".chart svg.marks").length;
        out.open = all(".one:not([hidden])").map((o) => o.dataset.of);
        const chosen = d.getElementById("chosen");
        chosen.value = "0";
        chosen.dispatchEvent(new w.Event("change"));
        await pause(2000);
        out.then = all(".one:not([hidden])").map((o) => o.dataset.of);
        out.redrawn = all(".one:not([hidden]) .chart").every((c) => c.querySelector("svg.marks"));
        """,
    )
    assert out["charts"] == out["drawn"] == 8
    assert (set(out["open"]), set(out["then"])) == (
        {"1"},
        {"0"},
    )  # base → rl-step-200, then base → rl-step-100
    assert out["redrawn"]


def test_rollouts_are_filtered_searched_and_compared(act: Act) -> None:
    diagnosis = make()
    sample = rollouts(diagnosis, problems=30, samples=4)
    out = act(
        render(diagnosis, sample),
        """
        const count = () => d.querySelector(".count").textContent;
        out.all = count();
        out.marks = all(".detail .mark").map((m) => m.dataset.rule + ": " + m.textContent);
        pick("Outcome", "right"); out.right = count();
        pick("Side", "1"); out.after = count();
        pick("Strategy", "2"); pick("Behaviour", "0"); out.few = count();
        all(".modes button").find((b) => b.textContent === "Clear").click(); out.cleared = count();
        pick("dataset", "0"); out.dataset = count();
        pick("dataset", "");
        pick("Search", " QUESTION 17: "); await pause(300); out.found = count();
        out.hits = all(".hit").length;
        pick("Search", "sAYs nothing like this"); await pause(300); out.none = d.querySelector(".items").textContent;
        pick("Search", ""); await pause(300);
        d.querySelector("[data-mode=pairs]").click(); out.pairs = count();
        out.columns = all(".columns h4").map((h) => h.textContent);
        out.responses = all(".columns details").length;
        out.changes = [];
        for (const change of ["up", "down", "same"]) { pick("First side to last", change); out.changes.push(count()); }
        """,
    )
    right = sample.filter(score=1)
    names = list(dict.fromkeys(sample["strategy"]))
    few = right.filter(
        pl.col("side") == 1, pl.col("strategy") == names[2], pl.col("behaviours").list.len() > 0
    )
    assert out["all"] == out["cleared"] == "240 of 240 responses"
    assert out["right"] == f"{right.height} of 240 responses"
    assert out["after"] == f"{right.filter(side=1).height} of 240 responses"
    assert out["few"] == f"{few.height} of 240 responses"
    assert (
        out["dataset"]
        == f"{sample.filter(pl.col('dataset') == sample['dataset'][0]).height} of 240 responses"
    )
    assert out["found"] == "8 of 240 responses"
    assert out["none"] == "Nothing fits these filters."
    assert out["pairs"] == "30 problems with responses of several sides"
    assert out["columns"] == ["base", "rl-step-100"]
    assert out["responses"] == 8
    better = sample.group_by("problem_id").agg(
        pl.col("score").filter(side=0).mean().alias("a"), pl.col("score").filter(side=1).mean().alias("b")
    )
    counts = [better.filter(way).height for way in (pl.col("b") > pl.col("a"), pl.col("b") < pl.col("a"))]
    counts.append(30 - sum(counts))
    assert len(set(counts)) == 3
    assert out["changes"] == [f"{n} problems with responses of several sides" for n in counts]
    first = sample.row(0, named=True)
    start, end, _ = json.loads(first["evidence"])["marks"][1]
    assert f"verification: {first['completion'][start:end]}" in out["marks"]


def test_the_browser_can_be_used_from_the_keyboard(act: Act, page: str) -> None:
    out = act(
        page,
        """
        const list = d.querySelector(".items");
        list.focus();
        const options = { bubbles: true, cancelable: true };
        const press = (key) => list.dispatchEvent(new w.KeyboardEvent("keydown", { key, ...options }));
        const chosen = () => all('[aria-selected="true"]').map((i) => i.id).join();
        out.first = chosen();
        press("ArrowDown"); press("ArrowDown"); out.third = chosen();
        out.active = list.getAttribute("aria-activedescendant");
        press("End"); out.last = chosen();
        press("PageUp"); press("ArrowUp"); out.back = chosen();
        press("Home"); out.home = chosen();
        press("Enter"); out.focus = d.activeElement.className;
        const parts = ".browser select, .browser input, .browser button, .items, .detail .text";
        out.reached = all(parts).every((e) => e.tabIndex === 0);
        out.named = all(".browser select, .browser input").every((e) => e.labels.length === 1);
        """,
    )
    assert (out["first"], out["third"], out["active"]) == ("item-0", "item-2", "item-2")
    assert (out["last"], out["back"], out["home"]) == ("item-239", "item-228", "item-0")
    assert out["focus"] == "detail"
    assert out["reached"]
    assert out["named"]


def test_hostile_texts_stay_texts_in_a_browser(act: Act) -> None:
    diagnosis = make(by=("dataset",))
    sample = rollouts(diagnosis, problems=len(TEXTS), samples=1).sort("problem_id", "side")
    texts = [text for text in TEXTS.values() for _ in range(2)]
    marks = [{"marks": [[0, max(1, len(t) // 2), t[:400]], [1, 3, "order", t[:400]]]} for t in texts]
    starts = pl.Series([text[:400] for text in texts])
    sample = sample.with_columns(
        completion=pl.Series(texts),
        prompt=starts,
        problem_id=starts + pl.col("problem_id"),
        strategy=starts,
        finish_reason=starts,
        dataset=starts,
        behaviours=pl.Series([[text] for text in starts]),
        evidence=pl.Series([json.dumps(one) for one in marks]),
    )
    out = act(
        render(diagnosis, sample),
        """
        const banned = ["IMG", "SCRIPT", "SVG", "A", "IFRAME"];
        const bad = () => all(".browser *").filter((e) => banned.includes(e.tagName.toUpperCase())).length;
        Object.assign(out, { bad: 0, texts: [], prompts: [], sideways: 0 });
        for (const item of all(".item")) {
          item.click();
          const text = d.querySelector(".detail .text").cloneNode(true);
          text.querySelectorAll("ins").forEach((e) => e.remove());
          out.texts.push(text.textContent);
          out.prompts.push(d.querySelector(".detail .prompt").textContent);
          out.bad += bad();
          out.sideways += d.documentElement.scrollWidth > 390;
        }
        pick("Search", "script"); await pause(300);
        out.searched = d.querySelector(".count").textContent;
        d.querySelector("[data-mode=pairs]").click();
        out.bad += bad();
        """,
        width=390,
    )
    assert out["title"] == "Stratagem: diagnosis"
    assert out["bad"] == out["sideways"] == 0
    assert out["wide"] == []
    assert out["width"] == 390
    assert out["prompts"] == [seen(text[:400]) for text in texts]
    for shown, text in zip(out["texts"], texts, strict=True):
        if len(text) > 20_000:
            assert shown == "x" * 12_000 + " … 180,000 characters left out … " + "x" * 8_000
        else:
            assert shown == (seen(text) or "(no text)")
    assert out["searched"] == f"{sum('script' in text.lower() for text in texts)} of {len(texts)} responses"


@pytest.mark.parametrize("afters", [1, 5])
def test_a_phone_needs_no_sideways_scroll(act: Act, afters: int) -> None:
    folder = "checkpoints/qwen2.5-7b-grpo-math-long"
    names = tuple(f"{folder}/global_step_{100 * i}/rollouts" for i in range(afters + 1))
    diagnosis = make(afters, names=names, levels=5)
    out = act(
        render(diagnosis, rollouts(diagnosis)), 'd.querySelector("[data-mode=pairs]").click();', width=390
    )
    assert out["width"] == 390
    assert out["wide"] == []
