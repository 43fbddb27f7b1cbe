"""The page of a diagnosis in Chromium: its charts, its browser of rollouts, and texts that try to be more."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from stratagem.report.diagnosis import render
from stratagem.report.diagnosis_view import seen
from tests.report.hostile import TEXTS
from tests.report.synthetic_diagnosis import make, rollouts, typed

Act = Callable[..., dict[str, Any]]


def test_a_browser_draws_every_chart_and_shows_what_is_chosen(act: Act) -> None:
    diagnosis = make(2)
    out = act(
        render(typed(diagnosis), rollouts(diagnosis)),
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
        render(typed(diagnosis), sample),
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


def test_the_browser_can_be_used_from_the_keyboard(act: Act) -> None:
    diagnosis = make()
    out = act(
        render(typed(diagnosis), rollouts(diagnosis)),
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
        render(typed(diagnosis), sample),
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
        render(typed(diagnosis), rollouts(diagnosis)),
        """d.querySelector("[data-mode=pairs]").click();
        const cut = (box) => box.clientWidth && box.scrollWidth > box.clientWidth + 1;
        const said = (box) => w.getComputedStyle(box, "::before").content;
        out.cut = all(".scroll").filter(cut).map(said);
        out.whole = all(".scroll").filter((box) => !cut(box)).map(said);""",
        width=390,
    )
    assert out["width"] == 390
    assert out["wide"] == []
    # A table that the screen cuts says that there is more; no other does.
    assert set(out["cut"]) == {'"more to the right →"'}
    assert set(out["whole"]) <= {"none"}
