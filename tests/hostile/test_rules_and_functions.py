"""Rules, functions and TOML files that are odd: one line, never a traceback, and no command ended by a function."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from stratagem.annotate.names import read_names
from stratagem.commands.pairs import read_pairs
from stratagem.labelling.rules import check_rules, label_frame, read_rules
from stratagem.records import StratagemError
from stratagem.studies.files import read_toml

pytestmark = pytest.mark.timeout(60)
FRAME = pl.DataFrame({"completion": ["First, add 3 and 4. The answer is 7", None, "", "x" * 200_000]})
DIGITS = "n = " + "9" * 50_000


def rules_of(folder: Path, patterns: list[str]) -> Path:
    path = folder / "rules.toml"
    path.write_text(
        "".join(
            f"[strategies.s{number}]\ndescription = 'd'\nany = ['''{pattern}''']\n"
            for number, pattern in enumerate(patterns)
        )
    )
    return path


@pytest.mark.parametrize(
    "patterns",
    [
        [r"\b{start}add"],
        [r"(?<=a)dd"],
        [r"(a)\1"],
        [r"(a{1000}){1000}"],
        ["(" * 5_000 + "a" + ")" * 5_000],
        [f"word{number}" for number in range(10_000)],
        ["a{99999999999999999999}"],
        [r"\p{Nonsense}"],
        ["["],
        ["(?P<name>a)(?P<name>b)"],
        ["x*" * 10_000],
        ["(x+x+)+y"],  # exponential where a pattern is tried backwards
    ],
    ids=lambda patterns: patterns[0][:20],
)
def test_patterns(tmp_path: Path, patterns: list[str]) -> None:
    path = rules_of(tmp_path, patterns)
    refused = ""
    try:
        rules = read_rules(str(path))
        check_rules(rules)
        labelled = label_frame(FRAME, rules)
    except StratagemError as error:
        refused = str(error)
    if refused:
        assert refused.startswith(str(path))
        assert "\n" not in refused
        assert len(refused) < 1_000
    else:
        assert labelled.height == FRAME.height
        assert labelled["strategy"].null_count() == 0


def test_the_start_of_a_word(tmp_path: Path) -> None:
    rules = read_rules(str(rules_of(tmp_path, [r"\b{start}add\b{end}", r"[\w]\b{end-half}"])))
    frame = pl.DataFrame({"completion": ["add it", "madd", "é add", "..."]})
    assert label_frame(frame, rules)["strategy"].to_list() == ["s0", "s1", "s0", "other"]


@pytest.mark.parametrize("text", [DIGITS, "a = 1e999999", "a = " + "[" * 100_000, 'a = "\\ud800"', "\x00"])
def test_toml_files(tmp_path: Path, text: str) -> None:
    """Each reader of TOML says which file and what."""
    path = tmp_path / "file.toml"
    path.write_text(text)
    for read in (lambda: read_rules(str(path)), lambda: read_names(str(path)), lambda: read_pairs(path)):
        with pytest.raises(StratagemError, match=r"file\.toml") as refused:
            read()
        assert "\n" not in str(refused.value)
    if text != "a = 1e999999":
        with pytest.raises(StratagemError, match=r"file\.toml: not TOML"):
            read_toml(path)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("raise Odd('gone')", "Odd: gone"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("return label(text)", "RecursionError"),
        ("return '\\ud800'", "printable letters"),
        ("return 'x' * 1_000_000", "printable letters"),
        ("return ''", "printable letters"),
        ("return 'a\\nb'", "printable letters"),
        ("return 3", "gave int"),
        ("return ['a']", "gave list"),
    ],
)
def test_functions_of_texts(tmp_path: Path, body: str, expected: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"class Odd(BaseException): pass\ndef label(text):\n    {body}\n")
    with pytest.raises(StratagemError, match="row 0: ") as refused:
        label_frame(FRAME, read_rules(f"{path}:label"))
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        "raise SystemExit(3)",
        "return ['a'] * frame.height",
        "return pl.Series(['x' * 300] * frame.height)",
        "return pl.Series([1.5])",
        "return frame",
    ],
)
def test_functions_of_frames(tmp_path: Path, body: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"import polars as pl\ndef label(frame: pl.DataFrame):\n    {body}\n")
    with pytest.raises(StratagemError, match=r"mine\.py:label: ") as refused:
        label_frame(FRAME, read_rules(f"{path}:label"))
    assert "\n" not in str(refused.value)


def test_a_file_that_ends_the_process_when_it_is_imported(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(StratagemError, match="cannot be imported: SystemExit"):
        read_rules(f"{path}:label")


def test_control_c_in_a_function_is_the_users(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def label(text):\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        label_frame(FRAME, read_rules(f"{path}:label"))
