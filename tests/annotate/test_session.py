"""Labels on disk, what is asked next, and what the labels tell."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn", reason="needs the extra learn")

from stratagem.annotate.marks import pieces
from stratagem.annotate.names import read_names, with_keys
from stratagem.annotate.pool import read_pool
from stratagem.annotate.session import Session
from stratagem.annotate.settle import labels_needed
from stratagem.diagnosis.side import Look
from stratagem.label_error.sheet import read_sheet
from stratagem.learned.asking import RANDOM_SHARE
from stratagem.learned.sheet import COLUMNS, SheetFile, read_labels, row_of
from stratagem.records import Estimate, StratagemError
from tests.annotate.logs import pool, truth, write_logs

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


def response(prompt: str, completion: str, number: int = 0) -> dict[str, object]:
    fixed = {"side": "0", "problem_id": f"p{number}", "sample": 0, "score": 0.25}
    return fixed | {"prompt": prompt, "completion": completion}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), st.data())
def test_a_file_cut_anywhere_holds_all_rows_but_the_unfinished_one(
    tmp_path: Path, texts: list[tuple[str, str]], data: st.DataObject
) -> None:
    path = tmp_path / "labels.csv"
    path.unlink(missing_ok=True)
    sheet = SheetFile(path)
    sizes = [path.stat().st_size]
    for number, pair in enumerate(texts):
        sheet.append(row_of(response(*pair, number), "a", "b", "random"))
        sizes.append(path.stat().st_size)
    rows = list(sheet.rows)
    sheet.close()
    cut = data.draw(st.integers(sizes[0], sizes[-1]))
    os.truncate(path, cut)
    whole = sum(size <= cut for size in sizes[1:])
    again = SheetFile(path)
    assert again.rows == rows[:whole]
    assert again.cut == (cut not in sizes)
    again.append(row_of(response("x", "y", 99), "c", "b", "chosen"))
    assert again.undo() == row_of(response("x", "y", 99), "c", "b", "chosen")
    if again.rows:
        assert again.undo() == rows[whole - 1]
    again.close()
    assert path.stat().st_size == sizes[max(whole - 1, 0)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXT, TEXT)
def test_a_sheet_is_one_of_hand_labels(tmp_path: Path, prompt: str, completion: str) -> None:
    path = tmp_path / "labels.csv"
    path.unlink(missing_ok=True)
    sheet = SheetFile(path)
    sheet.append(row_of(response(prompt, completion), "mine", "other", "random"))
    sheet.append(row_of(response(prompt, completion, 1), "", "other", "random"))
    sheet.close()
    assert read_sheet(path, partial=True)["true_strategy"].to_list() == ["mine"]
    read = read_labels(path)
    unlike_formulas = not any(text[:2].startswith(("'=", "'+", "'-", "'@")) for text in (prompt, completion))
    if unlike_formulas and "\r" not in prompt + completion:
        assert read.select("prompt", "completion").row(0) == (prompt, completion)


def test_what_is_no_sheet_of_ours_is_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,true_strategy\n1,a\n")
    with pytest.raises(StratagemError, match="is no sheet of `stratagem annotate`"):
        SheetFile(path)
    assert path.read_text() == "id,true_strategy\n1,a\n"
    path.unlink()
    sheet = SheetFile(path)
    with pytest.raises(StratagemError, match="is open in another"):
        SheetFile(path)
    sheet.close()
    changed = path.read_text(encoding="utf-8-sig") + ",".join(['"x"'] * len(COLUMNS)) + "\n"
    path.write_text(changed)
    with pytest.raises(StratagemError, match="row 2, score"):
        read_labels(path)


def test_a_session_goes_on_where_it_was(tmp_path: Path) -> None:
    logs = write_logs(tmp_path)
    responses = pool(logs)
    known = truth(logs, responses)
    session = Session(responses, {}, tmp_path / "labels.csv")
    for _ in range(23):
        assert session.question
        session.answer(session.question.row, known[session.question.row])
        session.wait()
    assert session.question
    session.answer(session.question.row, "")
    before = session.question
    assert before
    session.undo()
    session.undo()
    assert session.labelled == 22
    last = session.question
    assert last
    session.answer(last.row, known[last.row])
    session.close()
    again = Session(pool(logs), {}, tmp_path / "labels.csv")
    again.wait()
    view = again.view()
    assert (view["labels"], view["skipped"]) == (23, 0)
    assert again.learned is not None
    assert {name["name"] for name in view["names"]} == {*known, "other", "unparsed"}
    asked = [row["id"] for row in again.sheet.rows]
    assert len(set(asked)) == 23
    again.close()


def test_random_questions_show_no_guess_and_chosen_ones_do(tmp_path: Path) -> None:
    logs = write_logs(tmp_path)
    responses = pool(logs)
    known = truth(logs, responses)
    session = Session(responses, {}, tmp_path / "labels.csv")
    shown: dict[str, list[bool]] = {"random": [], "chosen": []}
    for _ in range(60):
        question = session.view()["question"]
        shown[question["why"]].append(question["guess"] is not None)
        assert (
            "".join(text for text, _ in question["pieces"]) == responses.table["completion"][question["row"]]
        )
        session.answer(question["row"], known[question["row"]])
        session.wait()
    assert not any(shown["random"])
    assert all(shown["chosen"])
    assert len(shown["random"]) >= RANDOM_SHARE * 60
    told = session.view()["progress"]
    assert told["labels"] == 60
    assert told["quality"]["random"] == len(shown["random"])
    assert told["settling"].startswith("Selection ")
    session.close()


def test_answers_to_another_question_change_nothing(tmp_path: Path) -> None:
    session = Session(pool(write_logs(tmp_path, 5)), {}, tmp_path / "labels.csv")
    assert session.question
    row = session.question.row
    session.answer(row + 1, "a")
    assert (session.labelled, session.question.row) == (0, row)
    with pytest.raises(StratagemError, match="a name has letters"):
        session.answer(row, "no name!")
    session.answer(row, "new")
    session.answer(row, "new")
    assert session.labelled == 1
    while session.question:
        session.answer(session.question.row, "")
    assert session.view()["question"] is None
    session.undo()
    assert session.question
    session.close()


def test_labels_of_other_logs_are_refused(tmp_path: Path) -> None:
    logs = write_logs(tmp_path)
    session = Session(pool(logs), {}, tmp_path / "labels.csv")
    assert session.question
    session.answer(session.question.row, "a")
    session.close()
    other = tmp_path / "other.jsonl"
    pl.read_ndjson(logs[0]).with_columns(problem_id="prompt").write_ndjson(other)
    with pytest.raises(StratagemError, match="labels of other logs"):
        Session(pool([other]), {}, tmp_path / "labels.csv")


def test_a_kill_loses_no_label(tmp_path: Path) -> None:
    write_logs(tmp_path, 10)
    code = (
        "from pathlib import Path\n"
        "from stratagem.annotate.session import Session\n"
        "from tests.annotate.logs import pool\n"
        f"logs = [Path({str(tmp_path)!r}) / f'{{name}}.jsonl' for name in ('before', 'after')]\n"
        f"session = Session(pool(logs), {{}}, Path({str(tmp_path / 'labels.csv')!r}))\n"
        "for number in range(15):\n"
        "    session.answer(session.question.row, f's{number}')\n"
        "    print(number, flush=True)\n"
        "    if number == 9: print('now', flush=True)\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout
    told = 0
    for line in process.stdout:
        if line == "now\n":
            process.send_signal(signal.SIGKILL)
            break
        told += 1
    process.wait()
    process.stdout.close()
    kept = read_labels(tmp_path / "labels.csv")["true_strategy"].to_list()
    assert kept[:told] == [f"s{number}" for number in range(told)]


def test_a_large_log_is_sampled_evenly_and_weighs_as_the_whole(tmp_path: Path) -> None:
    logs = write_logs(tmp_path, 60, 4)
    whole = pool(logs).table
    part = read_pool([[path] for path in logs], Look(), ["a", "b"], most=50).table
    assert part["side"].value_counts().sort("side")["count"].to_list() == [50, 50]
    for key, rows in part.group_by("side", "outcome"):
        known = whole.filter(side=str(key[0]), outcome=str(key[1]))
        assert rows["weight"].unique().to_list() == [known.height]


@given(
    st.text(max_size=60), st.lists(st.sampled_from(["the case", "N +", "V", "so then", "= N"]), max_size=4)
)
def test_pieces_are_the_text(text: str, terms: list[str]) -> None:
    assert "".join(piece for piece, _ in pieces(text, terms)) == text


def test_pieces_show_terms_wherever_they_stand() -> None:
    text = "Case 1: solve for x. So then\nwe solve for y + 12"
    marked = [piece for piece, is_marked in pieces(text, ["solve for", "V + N"]) if is_marked]
    assert marked == ["solve for", "solve for", "y + 12"]


def test_names_come_from_rules_files_and_words(tmp_path: Path) -> None:
    file = tmp_path / "names.toml"
    file.write_text('[strategies.table]\ndescription = "a table of cases"\n[strategies.guess]\n')
    assert read_names(str(file)) == {"table": "a table of cases", "guess": ""}
    assert read_names("a, b") == {"a": "", "b": ""}
    assert "equations" in read_names("math")
    keys = [(name.name, name.key) for name in with_keys({"b": ""}, ["c", "unparsed", "b"])]
    assert keys == [("b", "1"), ("c", "2"), ("other", "o"), ("unparsed", "u")]
    for wrong in ("a b", "unparsed"):
        with pytest.raises(StratagemError, match="a name has letters"):
            read_names(wrong)
    file.write_text("[other]\n")
    with pytest.raises(StratagemError, match="no strategy"):
        read_names(str(file))


def test_how_many_more_labels_settle_the_sign() -> None:
    # Half widths: 3 of the responses alone, 5 with labels, so that labels add a variance of 16 from 40 random ones.
    selection = Estimate(4.0, -1.0, 9.0)
    more, sure = labels_needed(selection, 5.0, 3.0, 40)
    assert sure
    assert math.sqrt(9 + 16 * 40 / (40 + more * RANDOM_SHARE)) <= 4.0
    assert math.sqrt(9 + 16 * 40 / (40 + (more - 10) * RANDOM_SHARE)) > 4.0
    assert labels_needed(Estimate(2.0, -3.0, 7.0), 5.0, 3.0, 40)[1] is False
    assert labels_needed(Estimate(8.0, 4.9, 11.1), 3.1, 3.0, 40) == (0, True)
    assert np.isclose(labels_needed(Estimate(6.0, 1.0, 11.0), 5.0, 3.0, 40)[0], 220)
