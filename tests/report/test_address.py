"""Numbers that lead to their responses, the selection in the address, its file, and differences of two texts."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import polars as pl
import pytest

from stratagem.report.diagnosis import render
from tests.report.chrome import CHROMIUM, Tab, tab
from tests.report.synthetic_diagnosis import make, rollouts, typed
from tests.report.test_study import Reader

Act = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with tab(tmp_path_factory.mktemp("profile")) as opened:
        opened.size(1280)
        yield opened


def page(folder: Path, afters: int, **sizes: int) -> tuple[dict[str, Any], pl.DataFrame, str]:
    diagnosis = make(afters)
    sample = rollouts(diagnosis, **sizes)
    file = folder / "page.html"
    file.write_text(render(typed(diagnosis), sample), encoding="utf-8")
    return diagnosis, sample, file.as_uri()


def visit(browser: Tab, address: str) -> None:
    browser.go("about:blank")
    browser.go(address)
    browser.until("document.documentElement.dataset.browser === 'ready'")


def count(browser: Tab) -> str:
    return browser.value("document.querySelector('.count').textContent")


@pytest.mark.parametrize("afters", [1, 3])
def test_every_link_shows_what_its_number_counts(tmp_path: Path, browser: Tab, afters: int) -> None:
    diagnosis, sample, address = page(tmp_path, afters)
    html = (tmp_path / "page.html").read_text()
    links = {
        value for _, name, value in Reader(html).attributes if name == "href" and value.startswith("#show?")
    }
    assert len(links) > 100
    sides = [side["name"] for side in diagnosis["sides"]]
    pairs = {("right", "wrong"), ("wrong", "right"), ("right", "right"), ("wrong", "wrong")}
    visit(browser, address)
    tried: set[frozenset[str]] = set()
    for link in sorted(links):
        asked = {name: values[0] for name, values in parse_qs(link.removeprefix("#show?")).items()}
        kind = frozenset((*asked, asked.get("change", "").split(">")[0]))
        if kind in tried:  # one of every kind: the others differ in a name
            continue
        tried.add(kind)
        browser.value(f"location.hash = {json.dumps(link)}")
        browser.until(f"location.hash === {json.dumps(link)} && document.querySelector('.count') !== null")
        rows = sample.with_columns(
            outcome=pl.when(pl.col("score") >= 1).then(pl.lit("right")).otherwise(pl.lit("wrong"))
        )
        for name in ("dataset", "difficulty"):
            if f"by.{name}" in asked:
                rows = rows.filter(pl.col(name) == asked[f"by.{name}"])
        if asked.get("view") != "pairs":
            if "side" in asked:
                rows = rows.filter(side=sides.index(asked["side"]))
            for name in ("strategy", "outcome"):
                if name in asked:
                    rows = rows.filter(pl.col(name) == asked[name])
            if "behaviour" in asked:
                has = pl.col("behaviours").list.contains(asked["behaviour"].removeprefix("!"))
                rows = rows.filter(~has if asked["behaviour"].startswith("!") else has)
            expected = f"{rows.height} of {sample.height} responses"
        else:
            first, last = (sides.index(asked.get(end, sides[i])) for end, i in (("first", 0), ("last", -1)))
            was, is_ = asked["change"].split(">") if ">" in asked.get("change", "") else ("", "")
            assert not was or (was, is_) in pairs
            fitting = 0
            for _, problem in rows.group_by("problem_id"):
                ends = []
                for side, strategy, outcome in (
                    (first, asked.get("from"), was),
                    (last, asked.get("to"), is_),
                ):
                    mine = problem.filter(side=side)
                    mine = mine if strategy is None else mine.filter(pl.col("strategy") == strategy)
                    ends.append(mine if not outcome else mine.filter(pl.col("outcome") == outcome))
                means = [problem.filter(side=side)["score"].mean() for side in (first, last)]
                used = [
                    problem.filter(side=side)
                    .group_by("strategy")
                    .len()
                    .join(order(sample), on="strategy")
                    .sort("len", "order", descending=[True, False])["strategy"][0]
                    for side in (first, last)
                ]
                ways = {
                    "up": means[1] > means[0], "down": means[1] < means[0], "same": means[1] == means[0],
                    "other": used[0] != used[1], "alike": used[0] == used[1],
                }  # fmt: skip
                fitting += all(end.height for end in ends) and ways.get(asked.get("change", ""), True)
            expected = f"{fitting} problems with responses of several sides"
        assert count(browser) == expected, link
    assert len(tried) > 15
    assert browser.problems == []


def order(sample: pl.DataFrame) -> pl.DataFrame:
    """Strategies in the order in which the page meets them."""
    names = sample["strategy"].unique(maintain_order=True)
    return pl.DataFrame({"strategy": names, "order": range(names.len())})


def test_an_address_that_is_sent_shows_the_same(tmp_path: Path, browser: Tab) -> None:
    _, _, address = page(tmp_path, 1)
    visit(browser, address)
    assert browser.value("location.hash") == ""  # nothing was chosen
    pick = """(label, value) => {
      const home = [...document.querySelectorAll(".filters label")].find((l) => l.firstChild.textContent === label);
      const box = home.querySelector("select, input");
      box.value = value;
      box.dispatchEvent(new Event(box.tagName === "INPUT" ? "input" : "change"));
    }"""
    for label, value in (("Outcome", "right"), ("Side", "1"), ("Behaviour", "!0"), ("dataset", "1")):
        browser.value(f"({pick})({label!r}, {value!r})")
    browser.value(f"({pick})('Search', 'QUESTION 1')")
    browser.until("location.hash.includes('search')")
    browser.value("document.getElementById('item-3').click()")
    state = """[document.querySelector(".count").textContent, document.querySelector(".detail").textContent,
      document.querySelector('[aria-selected="true"]').id]"""
    sent, seen = browser.value("location.href"), browser.value(state)
    assert "outcome=right" in sent
    assert "side=rl-step-100" in sent
    visit(browser, sent)
    assert browser.value(state) == seen
    assert seen[2] == "item-3"
    boxes = browser.value("[...document.querySelectorAll('.filters :is(select, input)')].map((b) => b.value)")
    assert boxes[:3] == ["question 1", "1", ""]
    browser.value(
        "[...document.querySelectorAll('.modes button')].find((b) => b.textContent === 'Clear').click()"
    )
    assert count(browser) == "240 of 240 responses"
    assert browser.value("location.hash") == "#show?"
    assert browser.problems == []


@pytest.mark.parametrize(
    "fragment",
    [
        "side=nobody",
        "strategy=%3Cimg%3E&by.dataset=none",
        "view=pairs&from=nobody",
        "behaviour=!nothing",
        "%%%",
        "view=pairs&first=x&last=y",
    ],
)
def test_an_address_of_something_else_breaks_nothing(tmp_path: Path, browser: Tab, fragment: str) -> None:
    _, _, address = page(tmp_path, 1)
    visit(browser, f"{address}#show?{fragment}")
    assert "responses" in count(browser)
    assert browser.value("document.querySelectorAll('.browser img').length") == 0
    assert browser.problems == []


def test_what_is_chosen_is_saved_as_csv(act: Act) -> None:
    diagnosis = make()
    sample = rollouts(diagnosis, problems=6, samples=2)
    formula, quoted = "=1+1", 'He said "x, y"\nand left'
    sample = sample.with_columns(
        completion=pl.when(pl.col("problem_id") == "problem-001").then(pl.lit(formula))
        .when(pl.col("problem_id") == "problem-002").then(pl.lit(quoted)).otherwise("completion")
    )  # fmt: skip
    out = act(
        render(typed(diagnosis), sample),
        """
        w.HTMLAnchorElement.prototype.click = function () { out.name = this.download; };
        let kept = null;
        w.URL.createObjectURL = (blob) => { kept = blob; return "#saved"; };
        const save = () => all(".modes button").find((b) => b.textContent === "Save as CSV").click();
        save(); out.all = await kept.text();
        pick("Side", "1"); pick("Outcome", "right"); save(); out.few = await kept.text();
        pick("Side", ""); pick("Outcome", "");
        d.querySelector("[data-mode=pairs]").click(); save(); out.pairs = await kept.text();
        """,
    )
    assert out["name"] == "responses.csv"
    rows = list(csv.DictReader(io.StringIO(out["all"].lstrip("\ufeff"))))
    assert len(rows) == sample.height
    for row, mine in zip(rows, sample.iter_rows(named=True), strict=True):
        assert row["problem"] == mine["problem_id"]
        assert row["strategy"] == mine["strategy"]
        assert float(row["score"]) == mine["score"]
        expected = "'=1+1" if mine["completion"] == formula else mine["completion"]
        assert row["response"] == expected
        assert row["prompt"] == mine["prompt"]
    few = list(csv.DictReader(io.StringIO(out["few"].lstrip("\ufeff"))))
    assert len(few) == sample.filter(pl.col("side") == 1, pl.col("score") == 1).height
    assert {row["outcome"] for row in few} == {"right"}
    assert len(list(csv.DictReader(io.StringIO(out["pairs"].lstrip("\ufeff"))))) == sample.height


def common(a: list[str], b: list[str]) -> int:
    """The length of a longest common subsequence."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_differences_are_marked_and_nothing_is_lost(act: Act) -> None:
    diagnosis = make()
    sample = rollouts(diagnosis, problems=1, samples=1)
    texts = [
        "Let x be 3. Then <b>x</b> + 4 = 7.\nSo x = 3.",
        "Let y be 3. Then we guess: y + 4 = 8.\nSo y = 4 \u202e.",
    ]
    sample = sample.sort("side").with_columns(completion=pl.Series(texts), evidence=pl.lit("{}"))
    out = act(
        render(typed(diagnosis), sample),
        """
        d.querySelector("[data-mode=differences]").click();
        const parts = (node) => [...node.childNodes].map((n) => [n.nodeName, n.textContent]);
        out.sides = all(".columns .text").map(parts);
        out.choices = all(".columns select option").map((o) => o.textContent);
        """,
    )
    left, right = out["sides"]
    assert "".join(text for _, text in left) == texts[0]
    assert "".join(text for _, text in right) == texts[1].replace("\u202e", "⟨U+202E⟩")
    assert {name for name, _ in left} == {"#text", "DEL"}
    assert {name for name, _ in right} <= {"#text", "INS", "SPAN"}
    same = ["".join(text for name, text in side if name == "#text") for side in (left, right)]
    words = [re.findall(r"\w+|[^\w\s]", text) for text in same]
    assert words[0] == words[1]
    whole = [re.findall(r"\w+|[^\w\s]", text) for text in texts]
    assert len(words[0]) == common(*whole)
    assert out["choices"][0].startswith("base, sample 0: ")


def test_very_long_texts_are_compared_by_lines(act: Act) -> None:
    diagnosis = make()
    sample = rollouts(diagnosis, problems=1, samples=1).sort("side")
    lines = [f"line {i}: " + " ".join(str((i * j) % 97) for j in range(40)) for i in range(150)]
    other = [line if i % 3 else f"new {i} " + line[::-1] for i, line in enumerate(lines)]
    sample = sample.with_columns(
        completion=pl.Series(["\n".join(lines), "\n".join(other)]), evidence=pl.lit("{}")
    )
    out = act(
        render(typed(diagnosis), sample),
        """
        const start = performance.now();
        d.querySelector("[data-mode=differences]").click();
        out.took = performance.now() - start;
        const alike = (t) => [...t.childNodes].filter((n) => n.nodeName === "#text").map((n) => n.textContent);
        out.same = all(".columns .text").map((t) => alike(t).join(""));
        """,
    )
    kept = "".join(f"{line}\n" for i, line in enumerate(lines) if i % 3)
    assert out["same"][0].strip() == out["same"][1].strip() == kept.strip()
