"""What a diagnosis must not claim: of a handful of problems, of sides that are not alike."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from rich.console import Console

from stratagem.diagnosis.diagnose import diagnose
from stratagem.diagnosis.side import Look
from stratagem.diagnosis.survey import differences, survey
from stratagem.labelling.rules import read_rules
from stratagem.records import StratagemError
from stratagem.report.diagnosis import render
from stratagem.report.terminal import show_diagnosis, show_survey
from stratagem.result import Groups, Spread
from stratagem.rollouts.readers.row import ReadOptions

from .test_diagnose import RULES

PARTS = "[parts]\nanswer = ['<answer>(.*?)</answer>']\n"
Answer = Callable[[int, int], dict[str, Any]]


def write(path: Path, answer: Answer, problems: Iterable[int] = range(40), samples: int = 4) -> Path:
    """A log in which `answer` of problem and sample gives all but the prompt."""
    rows = [{"prompt": f"problem {i}"} | answer(i, j) for i in problems for j in range(samples)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def looking(tmp_path: Path, rules: str = RULES, **more: Any) -> Look:
    (tmp_path / "rules.toml").write_text(rules)
    return Look(rules=read_rules(tmp_path / "rules.toml"), **more)


def said(text: str, right: bool, **more: object) -> dict[str, Any]:
    return {"response": text, "score": float(right), **more}


def printed(summary: dict[str, Any]) -> str:
    out = io.StringIO()
    show_diagnosis(summary, Console(file=out, width=80))
    return " ".join(out.getvalue().split())


# -- a handful of problems -----------------------------------------------------------------------------------


@pytest.mark.parametrize("problems", [2, 5])
def test_few_problems_that_agree_show_no_fall(tmp_path: Path, problems: int) -> None:
    logs = [
        write(tmp_path / f"{name}.jsonl", lambda i, j, k=k: said("I go forward.", j < k), range(problems))
        for name, k in (("a", 2), ("b", 1))
    ]
    diagnosis = diagnose(logs, looking(tmp_path, by=()), draws=100)
    assert (diagnosis.gain.value, diagnosis.gain.n) == (-0.25, problems)
    assert all(map(math.isnan, (diagnosis.gain.low, diagnosis.gain.high, diagnosis.gain.se)))
    assert diagnosis.lead == "undecided"
    assert all(math.isnan(row.gain.low) for row in diagnosis.strata)
    assert diagnosis.verdict.action == "collect more samples"
    assert diagnosis.verdict.sentence == (
        "These labels cannot show selection: forward has 100.0% of responses before and 100.0% after. Finer rules, "
        "learned labels or a judge could. "
        "In these logs accuracy went from 50.0% to 25.0%; how sure that is they do not say. If the change is as large "
        f"as it looks, about 59 problems like these {problems} would tell."
    )
    assert "[" not in printed(diagnosis).split("New strategy")[1].split("Strategy")[0]


def test_enough_problems_that_agree_show_one(tmp_path: Path) -> None:
    logs = [
        write(tmp_path / f"{name}.jsonl", lambda i, j, k=k: said("I go forward.", j < k), range(6))
        for name, k in (("a", 2), ("b", 1))
    ]
    diagnosis = diagnose(logs, looking(tmp_path, by=()), draws=100)
    assert diagnosis.gain.high == -0.25
    assert "fell by 25.0 points" in diagnosis.verdict.sentence


# -- difficulty ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [int, float])
def test_numbers_stay_numbers_and_weak_execution_on_hard_problems_is_found(
    tmp_path: Path, after: type
) -> None:
    """All but the hardest tenth is always right after, so that headroom alone would not call execution weak."""

    def answer(side: int, kind: type) -> Answer:
        def record(i: int, j: int) -> dict[str, Any]:
            level = i % 12 + 1
            right = j == 0 or not (level == 12 or (side == 0 and level < 4))
            return said(f"I go {'forward' if j % 2 else 'backward'}.", right, difficulty=kind(level))

        return record

    logs = [
        write(tmp_path / "a.jsonl", answer(0, int), range(240), samples=3),
        write(tmp_path / "b.jsonl", answer(1, after), range(240), samples=3),
    ]
    table = tmp_path / "labelled.parquet"
    diagnosis = diagnose(logs, looking(tmp_path), draws=200, table=table)
    assert diagnosis.by == ("difficulty",)
    assert [row.stratum["difficulty"] for row in diagnosis.strata] == list(range(1, 13))
    assert pl.read_parquet(table).schema["difficulty"].is_numeric()
    evidence = diagnosis.verdict.evidence
    assert "At difficulty 12 accuracy is 33.3%." in evidence[0]
    shown = [line.split(":")[0] for line in evidence if line.startswith("Difficulty")]
    assert shown == [f"Difficulty {x}" for x in (1, 2, 3, 10, 11, 12)]
    assert diagnosis.headroom.after.improvement.low < 0.1
    page = render(diagnosis, diagnosis.sample)
    rows = page[page.index('aria-label="Strata"') :]
    assert rows.index('<td class="t">2</td>') < rows.index('<td class="t">10</td>')


def test_numbers_beside_text_are_text(tmp_path: Path) -> None:
    logs = [
        write(
            tmp_path / f"{k.__name__}.jsonl", lambda i, j, k=k: said("I go forward.", j > 0, level=k(i % 2))
        )
        for k in (int, str)
    ]
    diagnosis = diagnose(logs, looking(tmp_path), draws=100)
    assert [row.stratum["level"] for row in diagnosis.strata] == ["0", "1"]


# -- chains --------------------------------------------------------------------------------------------------


def test_a_chain_says_which_problems_its_steps_are_over(tmp_path: Path) -> None:
    def answer(k: int) -> Answer:
        return lambda i, j: said(
            f"I go {'forward' if (i + j) % 4 < k else 'backward'}.",
            (i * (k + 1) + j) % 4 < k,
            kind="ab"[i % 3 == 0],
        )

    logs = [
        write(tmp_path / "base.jsonl", answer(1), range(60)),
        write(tmp_path / "sft.jsonl", answer(2), range(60)),
        write(tmp_path / "rl.jsonl", answer(3), range(10, 60)),
    ]
    diagnosis = diagnose(logs, looking(tmp_path), draws=200)
    whole = next(c for c in diagnosis.comparisons if (c.before, c.after) == ("base", "rl"))
    assert diagnosis.by == ("kind",)
    # Over the same problems the same gain, and just as sure.
    assert msgspec.structs.astuple(diagnosis.path.along.gain)[:5] == pytest.approx(
        msgspec.structs.astuple(whole.gain)[:5]
    )
    text = printed(diagnosis)
    note = (
        "Steps are over the 50 problems that all 3 checkpoints answered; a comparison is over all that its own two "
        "sides answered (60 for base → sft), so that its gain may differ."
    )
    assert note in text
    assert "60 problems" in text
    assert note in " ".join(render(diagnosis, None).split())
    steps = text.split("From one checkpoint")[1].split("all together")[0]
    assert steps.count("[") == 8  # gain, selection, improvement and new strategy of both steps


# -- sides that are not alike --------------------------------------------------------------------------------


def test_strategies_of_different_labellers_are_not_compared(tmp_path: Path) -> None:
    before = write(tmp_path / "a.jsonl", lambda i, j: said("I go on.", True, strategy="alpha"))
    after = write(tmp_path / "b.jsonl", lambda i, j: said("I go on.", True))
    with pytest.raises(
        StratagemError, match=r"\(a: column 'strategy'; b: math\): name rules for all with --strat"
    ):
        diagnose([before, after], draws=100)
    assert diagnose([before, after], looking(tmp_path), draws=100).gain.value == 0
    (tmp_path / "c.jsonl").write_text("".join(f'{{"id": "{i}", "c": 2, "n": 4}}\n' for i in range(9)))
    with pytest.raises(StratagemError, match="compare logs of counts with `stratagem passk`"):
        diagnose([before, tmp_path / "c.jsonl"], draws=100)
    assert not list(tmp_path.glob("*.parquet"))


def surveyed(path: Path) -> Any:
    return survey([path], ReadOptions(), lambda done, total: None)


def test_prompts_that_differ_under_the_same_ids_are_noted(tmp_path: Path) -> None:
    def asked(system: str, odd: int = 0) -> Answer:
        return lambda i, j: said(
            "I go on.", True, id=i, prompt=f"{system}{'Why' if i < odd else 'What'} is {i}?"
        )

    logs = [
        write(tmp_path / f"{name}.jsonl", answer)
        for name, answer in (("a", asked("")), ("b", asked("", odd=3)), ("c", asked("<|im_start|> ", odd=40)))
    ]
    surveys = [surveyed(path) for path in logs]
    assert differences(surveys[:1] * 2) == []
    assert differences(surveys[:2]) == [
        "the prompt is another one for 3 (8%) of the 40 problems of both a and b"
    ]
    assert len(differences(surveys)) == 2
    (note,) = differences(surveys[:2])
    assert note in diagnose(logs[:2], looking(tmp_path), draws=100).warnings
    with pytest.raises(StratagemError, match="40 of 40 ids have another prompt"):
        diagnose(logs[::2], looking(tmp_path), draws=100, table=tmp_path / "labelled.parquet")
    assert not list(tmp_path.glob("*.parquet"))  # nothing is left that a next try would stumble over
    forced = diagnose(logs[::2], looking(tmp_path, join="id"), draws=100).warnings
    assert "the prompt is another one for 40 (100%) of the 40 problems of both a and c" in forced
    template = write(tmp_path / "d.jsonl", asked("<|im_start|> "))
    assert differences([surveys[0], surveyed(template)]) == [
        "the prompt's text differs for 40 of the 40 problems of both a and d (template or system prompt)"
    ]


def test_groups_are_counted_where_a_column_tells_them(tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", lambda i, j: said("I go on.", True, group=j // 2), range(10))
    about = surveyed(log).about
    assert about.groups == Groups("group", 20, Spread(2, 2.0, 2))
    out = io.StringIO()
    show_survey(about, Console(file=out, width=80))
    assert "20 by column 'group', 2 responses each" in out.getvalue()
    assert surveyed(write(tmp_path / "b.jsonl", lambda i, j: said("", True))).about.groups is None


# -- finer strategies ----------------------------------------------------------------------------------------


def test_strategies_are_split_by_behaviours_and_by_named_columns(tmp_path: Path) -> None:
    """One strategy, whose careful form wins: selection is only seen where the strategy is split."""

    def answer(careful: int) -> Answer:
        def record(i: int, j: int) -> dict[str, Any]:
            text = "I go forward. let me check" if j < careful else "I go forward."
            return said(text, j < careful or i % 10 == 0, style="slow" if j < careful else "quick", same="x")

        return record

    logs = [write(tmp_path / f"{k}.jsonl", answer(k)) for k in (1, 3)]
    usual = diagnose(logs, looking(tmp_path), draws=100)
    assert usual.lead == "improvement"
    assert [(row.change, row.lead) for row in usual.robustness] == [
        ("split strategies by checks", "selection")
    ]
    assert "turned round in 1" in usual.verdict.sentence
    assert "(0 merged, 1 split further)" in printed(usual)
    asked = diagnose(logs, looking(tmp_path, refine=("style", "same")), draws=100)
    assert [row.change for row in asked.robustness] == ["split strategies by style"]
    assert asked.robustness[0].selection == usual.robustness[0].selection
    assert diagnose(logs, looking(tmp_path, refine=()), draws=100).robustness == ()
    for name, reason in (
        ("nope", "no such column in all logs"),
        ("strategy", "parts strategies or strata already"),
    ):
        with pytest.raises(StratagemError, match=f"--refine {name}: {reason}"):
            diagnose(logs, looking(tmp_path, refine=(name,)), draws=100)


# -- what is taken as what ---------------------------------------------------------------------------------------


def restarting(i: int, j: int) -> dict[str, Any]:
    return said(
        "I go on.", True, idx=i % 20, dataset="ab"[i // 20], prompt=f"What is {i}?", score=(i * j) % 2
    )


def test_the_survey_says_what_is_taken_as_what_and_why(tmp_path: Path) -> None:
    about = surveyed(write(tmp_path / "a.jsonl", restarting)).about
    assert list(about.taken) == ["records", "prompt", "response", "grade", "problem"]
    assert about.taken["grade"] == "column 'score'"
    assert "'idx' is not taken as the problem's id: 20 more prompts than ids" in about.taken["problem"]
    out = io.StringIO()
    show_survey(about, Console(file=out, width=100))
    assert "'idx' is not taken as the problem's id" in out.getvalue()


def test_columns_that_are_named_make_the_problem_by_the_logs_own_names(tmp_path: Path) -> None:
    logs = [write(tmp_path / f"{name}.jsonl", restarting) for name in "ab"]
    diagnosis = diagnose(logs, looking(tmp_path, join="dataset,idx"), draws=100)
    assert (diagnosis.problems, diagnosis.gain.value) == (40, 0.0)


def test_numbers_that_are_the_answer_are_no_grade(tmp_path: Path) -> None:
    def gold(word: str) -> Answer:
        return lambda i, j: said(f"I go {word} {j}.", True, id=i, prompt=f"What is {i}?", score=i % 2)

    logs = [
        write(tmp_path / f"{name}.jsonl", gold(word)) for name, word in (("a", "on"), ("b", "back again"))
    ]
    with pytest.raises(StratagemError, match="is the same in all responses to a problem and in both logs"):
        diagnose(logs, looking(tmp_path), draws=100)
    again = diagnose(logs[:1] * 2, looking(tmp_path), draws=100, names=["a", "again"])
    assert again.gain.value == 0


# -- strategies that one side alone shows ----------------------------------------------------------------------


def test_a_new_strategy_may_have_been_rare_where_the_result_warns_so(tmp_path: Path) -> None:
    """After, four in ten responses go backward, which none did before, and nine in ten of these are right."""

    def answer(after: bool) -> Answer:
        def given(i: int, j: int) -> dict[str, Any]:
            new = after and (3 * i + j) % 10 < 4
            return said("backward" if new else "forward", (i + 3 * j) % 10 < (9 if new else 6))

        return given

    logs = [write(tmp_path / f"{after}.jsonl", answer(after), range(200)) for after in (False, True)]
    diagnosis = diagnose(logs, looking(tmp_path, by=()), draws=200)
    assert "new or merely rare" in diagnosis.weak[0]
    rare = diagnosis.new_or_rare
    assert rare.new_strategy.low <= 0 < rare.new_strategy.high
    terms = {
        "selection": rare.selection,
        "improvement": rare.improvement,
        "new strategies": rare.new_strategy,
    }
    both = ", ".join(f"{name} {100 * e.low:+.1f} to {100 * e.high:+.1f}" for name, e in terms.items())
    assert f"over both readings, in points: {both}." in printed(diagnosis)
    assert both in " ".join(render(diagnosis, None).split())


def test_lost_responses_and_a_condition_that_all_meet_are_said_with_the_reason(tmp_path: Path) -> None:
    def answer(i: int, j: int) -> dict[str, Any]:
        return said("forward", i % 2 > 0) | ({"score": None} if j == 0 else {})

    logs = [write(tmp_path / f"{name}.jsonl", answer) for name in "ab"]
    warnings = diagnose(logs, looking(tmp_path, by=()), draws=50).warnings
    assert "a: 40 of 160 responses could not be used: 40 no score" in warnings
    always = diagnose(logs, looking(tmp_path, by=(), correct="score >= 0"), draws=50).warnings
    assert (
        "condition 'score >= 0' holds for every response of any log, so that it tells nothing apart" in always
    )


def test_a_log_given_twice_is_noticed(tmp_path: Path) -> None:
    def answer(shift: int) -> Answer:
        return lambda i, j: said("forward", (i + j + shift) % 3 > 0)

    logs = [
        write(tmp_path / f"{name}.jsonl", answer(shift)) for name, shift in (("a", 0), ("b", 0), ("c", 1))
    ]
    asked = [
        note for note in diagnose(logs, looking(tmp_path, by=()), draws=50).warnings if "given twice" in note
    ]
    assert asked == [
        "a and b have equally many right responses of the same length for every problem: was one log given twice?"
    ]


def test_columns_are_listed_by_the_names_of_the_log(tmp_path: Path) -> None:
    rows = [{"q": f"What is {i // 2}?", "reply": f"It is {i}.", "score": i % 2} for i in range(40)]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = ReadOptions(columns={"prompt": "q", "completion": "reply"})
    listed = "no such column; there are q, reply, score$"
    for logs, look in (([path, path], Look(by=("x",), read=read)), ([path], Look(checkpoint="x", read=read))):
        with pytest.raises(StratagemError, match=listed):
            diagnose(logs, look, draws=50)
