"""Pools of prompts: every form is read, its rows come out as they went in, and what is wrong is said by row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stratagem.curation.held import Form
from stratagem.curation.pool import read_pool
from stratagem.curation.written import SUFFIX, write_rows
from stratagem.records import StratagemError

ROWS: list[dict[str, Any]] = [
    {
        "prompt": [
            {"role": "system", "content": "Think."},
            {"role": "user", "content": f"What is {i} + {i}?"},
        ],
        "data_source": "sums" if i % 2 else "doubles",
        "reward_model": {"ground_truth": str(2 * i), "style": "rule"},
        "extra_info": {"index": i, "level": None if i == 3 else i % 2 + 0.5},
    }
    for i in range(7)
]
CHOSEN = np.array([5, 0, 3])


def lines(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_lines_come_out_byte_by_byte(tmp_path: Path) -> None:
    text = [
        '{"id": "a", "prompt": "caf\\u00e9", "score": 1.0, "big": 12345678901234567890}',
        '{"prompt": "β",   "id": "b", "nan": NaN}',
        '{"id":"c","prompt":"c"}',
    ]
    (tmp_path / "pool.jsonl").write_text(text[0] + "\n\n" + text[1] + "\r\n" + text[2], encoding="utf-8")
    pool = read_pool(str(tmp_path / "pool.jsonl"))
    assert pool.problems["problem_id"].to_list() == ["a", "b", "c"]
    write_rows(pool, np.array([1, 0]), tmp_path, "chosen", "jsonl")
    assert (tmp_path / "chosen.jsonl").read_text(encoding="utf-8") == text[1] + "\n" + text[0] + "\n"


def test_packed_lines_and_folders_of_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    lines(tmp_path / "folder" / "part-2.jsonl", ROWS[3:])
    part = lines(tmp_path / "folder" / "part-10.jsonl", ROWS[:3])
    (tmp_path / "folder" / "part-10.jsonl.gz").write_bytes(gzip.compress(part.read_bytes()))
    part.unlink()
    pool = read_pool(str(tmp_path / "folder"))
    assert pool.rows.records(range(7)) == [*ROWS[3:], *ROWS[:3]]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv", "dataset"])
def test_every_form_says_the_same_of_its_problems(tmp_path: Path, form: Form) -> None:
    flat = [
        {"question": row["prompt"][1]["content"], "data_source": row["data_source"], "level": i % 3}
        for i, row in enumerate(ROWS)
    ]
    path = tmp_path / f"pool{SUFFIX[form]}"
    if form == "jsonl":
        lines(path, flat)
    elif form == "dataset":
        pytest.importorskip("datasets", reason="needs the llm extra").Dataset.from_list(flat).save_to_disk(
            path
        )
    else:
        getattr(pl.DataFrame(flat), f"write_{form}")(path)
    pool = read_pool(str(path), ["data_source", "level"])
    assert pool.prompt == "question"
    assert pool.rows.form == form
    reference = read_pool(str(lines(tmp_path / "reference.jsonl", flat)), ["data_source", "level"])
    assert pool.problems.equals(reference.problems)
    assert pool.problems["level"].to_list() == ["0", "1", "2", "0", "1", "2", "0"]


def test_messages_and_nested_columns(tmp_path: Path) -> None:
    lines(tmp_path / "pool.jsonl")
    pl.DataFrame(ROWS).write_parquet(tmp_path / "pool.parquet")
    columns = ["data_source", "extra_info.level"]
    first, second = (read_pool(str(tmp_path / name), columns) for name in ("pool.jsonl", "pool.parquet"))
    assert first.problems.equals(second.problems)
    assert first.problems["extra_info.level"].to_list() == [
        "0.5",
        "1.5",
        "0.5",
        "(none)",
        "0.5",
        "1.5",
        "0.5",
    ]
    # A problem is its user's question, whatever the system prompt or the template.
    plain = lines(tmp_path / "plain.jsonl", [{"prompt": "what is 0 + 0?"}])
    assert read_pool(str(plain)).problems["by_normalised"][0] == first.problems["by_normalised"][0]


def test_prompts_of_conversations(tmp_path: Path) -> None:
    rows = [{"messages": row["prompt"]} for row in ROWS]
    rows[2] = {"messages": [*ROWS[2]["prompt"], {"role": "assistant", "content": "4"}]}
    pool = read_pool(str(lines(tmp_path / "pool.jsonl", rows)))
    assert pool.prompt == "messages"
    assert pool.problems.equals(read_pool(str(lines(tmp_path / "plain.jsonl"))).problems)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_pools_in_the_shapes_of_sft_sets(tmp_path: Path, form: Form) -> None:
    """ShareGPT's turns up to the first answer, Alpaca's instruction with its input; rows come out as they were."""
    asked = [f"What is {i} + {i}?" for i in range(7)]
    shapes = {
        "plain": [{"prompt": f"Add.\n\n{text}"} for text in asked],
        "Alpaca": [{"instruction": "Add.", "input": text, "level": 1} for text in asked],
    }
    turns = [[{"from": "human", "value": text}, {"from": "gpt", "value": "x"}] for text in asked]
    shapes |= {
        "asked": [{"prompt": text} for text in asked],
        "ShareGPT": [{"conversations": said, "level": 1} for said in turns],
    }
    pools = {}
    for shape, rows in shapes.items():
        path = tmp_path / f"{shape}{SUFFIX[form]}"
        if form == "jsonl":
            lines(path, rows)
        else:
            pl.DataFrame(rows).write_parquet(path)
        pools[shape] = read_pool(str(path), ["level"] if "level" in rows[0] else [])
        write_rows(pools[shape], CHOSEN, tmp_path, f"chosen-{shape}", "jsonl")
        written = (tmp_path / f"chosen-{shape}.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in written] == [rows[i] for i in CHOSEN]
    for plain, shape in (("plain", "Alpaca"), ("asked", "ShareGPT")):
        assert pools[shape].problems.drop("level").equals(pools[plain].problems)


def test_parquet_keeps_its_types_and_metadata(tmp_path: Path) -> None:
    table = pa.table({"id": pa.array(range(7), pa.int32()), "prompt": [f"p{i}" for i in range(7)]})
    table = table.replace_schema_metadata({"made by": "us", "huggingface": "{}"})
    pq.write_table(table, tmp_path / "pool.parquet")
    pool = read_pool(str(tmp_path / "pool.parquet"))
    write_rows(pool, CHOSEN, tmp_path, "chosen", "parquet")
    written = pq.read_table(tmp_path / "chosen.parquet")
    assert written.schema.equals(table.schema, check_metadata=True)
    assert written["id"].to_pylist() == CHOSEN.tolist()


def test_a_dataset_is_what_datasets_loads_with_its_features(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the llm extra")
    features = datasets.Features(
        {"prompt": datasets.Value("string"), "kind": datasets.ClassLabel(names=["a", "b"])}
    )
    rows = {"prompt": [f"p{i}" for i in range(7)], "kind": [0, 1, 0, 1, 0, 1, 0]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "pool", num_shards=2)
    pool = read_pool(str(tmp_path / "pool"))
    assert pool.rows.form == "dataset"
    write_rows(pool, CHOSEN, tmp_path, "chosen", "dataset")
    loaded = datasets.load_from_disk(tmp_path / "chosen")
    assert loaded.features == features
    assert loaded["prompt"][:] == ["p5", "p0", "p3"]
    write_rows(pool, CHOSEN, tmp_path, "weighted", "dataset", {"weight": [1.5, 0.5, 1.0]})
    assert datasets.load_from_disk(tmp_path / "weighted")["weight"][:] == [1.5, 0.5, 1.0]


def test_splits_of_a_dataset_are_asked_for(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the llm extra")
    one = datasets.Dataset.from_dict({"prompt": ["p", "q"]})
    datasets.DatasetDict(train=one, test=one).save_to_disk(tmp_path / "both")
    with pytest.raises(StratagemError, match=r"holds several splits \(test, train\); name one: .*/train"):
        read_pool(str(tmp_path / "both"))
    assert len(read_pool(str(tmp_path / "both" / "train"))) == 2


@pytest.mark.parametrize("source", ["jsonl", "parquet"])
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_other_forms_and_added_columns(tmp_path: Path, source: Form, form: Form) -> None:
    if source == "jsonl":
        path = lines(tmp_path / "pool.jsonl")
    else:
        path = tmp_path / "pool.parquet"
        pl.DataFrame(ROWS).write_parquet(path)
    pool = read_pool(str(path))
    name = write_rows(pool, CHOSEN, tmp_path, "chosen", form, {"weight": [2.0, 0.25, 0.75]})
    written = read_pool(str(tmp_path / name)).rows.records(range(3))
    assert written == [ROWS[i] | {"weight": w} for i, w in zip(CHOSEN, [2.0, 0.25, 0.75], strict=True)]


def test_csv_comes_out_with_its_values(tmp_path: Path) -> None:
    text = 'prompt,answer\n"one, two",007\n"a ""b""\nc",\n'
    (tmp_path / "pool.csv").write_text(text)
    pool = read_pool(str(tmp_path / "pool.csv"))
    write_rows(pool, np.array([0, 1]), tmp_path, "chosen", "csv")
    assert (tmp_path / "chosen.csv").read_text() == text


BAD: list[tuple[str, str, dict[str, Any], str]] = [
    ("pool.jsonl", '{"prompt": "p"}\n{"prompt": 3\n', {}, "row 2: line: not one whole JSON object"),
    ("pool.jsonl", '{"prompt": "p"}\n{"prompt": "q"}\n{"prompt": ""}\n', {}, "row 3: neither a prompt nor an id"),
    ("pool.jsonl", '{"prompt": "p"}\n{"prompt": "q"}\n{"prompt": [3]}\n', {}, "row 3: prompt: a list that holds"),
    ("pool.jsonl", '{"text": "p"}\n', {}, "neither a prompt nor an id; its columns are text: name one"),
    ("pool.jsonl", '{"prompt": "p"}\n', {"columns": ["kind"]}, "--by kind: no such column"),
    ("pool.jsonl", '{"prompt": "p"}\n', {"named": {"id": "nr"}}, "no column 'nr' to read as id"),
    ("pool.jsonl", "", {}, "is empty"),
    ("pool.parquet", "PAR1 and nothing more", {}, "not a readable Parquet file"),
    ("pool.csv", "prompt,prompt\na,b\n", {}, "two columns are called 'prompt'"),
    ("pool.csv", "prompt,kind\na,b,c\n", {}, "row 2: line: not as many fields"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "asked", "said"), BAD)
def test_bad_pools_are_one_clear_line(
    tmp_path: Path, name: str, text: str, asked: dict[str, Any], said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(StratagemError, match=said) as error:
        read_pool(str(tmp_path / name), **asked)
    assert "\n" not in str(error.value)


def test_a_column_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    pool = read_pool(str(lines(tmp_path / "pool.jsonl", [{"prompt": "p", "weight": 3}])))
    with pytest.raises(StratagemError, match="has a column 'weight' already"):
        write_rows(pool, np.array([0]), tmp_path, "chosen", "jsonl", {"weight": [1.0]})


def test_values_of_several_types_stay_lines(tmp_path: Path) -> None:
    pool = read_pool(
        str(lines(tmp_path / "pool.jsonl", [{"prompt": "p", "x": 3}, {"prompt": "q", "x": "three"}]))
    )
    with pytest.raises(StratagemError, match="take jsonl"):
        write_rows(pool, np.array([0, 1]), tmp_path, "chosen", "parquet")
