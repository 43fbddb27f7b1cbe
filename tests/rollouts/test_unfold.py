"""Nested and column-wise records, and those of harnesses, give the rows that the same records give flat."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stratagem.records import StratagemError
from stratagem.rollouts.log import read_rollouts
from stratagem.rollouts.readers.row import ReadOptions

N, K = 3, 2
ROWS = [
    {"id": p, "prompt": f"What is {p}?", "completion": f"I think of {p} in way {s}", "correct": s}
    for p in range(N)
    for s in range(K)
]
GROUPS = [ROWS[K * p : K * p + K] for p in range(N)]
Value = dict[str, Any]


def column(rows: list[Value], name: str) -> list[Any]:
    return [row[name] for row in rows]


def nested(name: str, text: str = "text") -> list[Value]:
    """A row a problem with a list of objects, and the mean beside it."""
    return [
        {
            "qid": rows[0]["id"],
            "question": rows[0]["prompt"],
            "gold": "7",
            "score": 0.5,
            name: [{text: row["completion"], "score": row["correct"]} for row in rows],
        }
        for rows in GROUPS
    ]


def chat(row: Value) -> Value:
    return {"message": {"role": "assistant", "content": row["completion"]}, "finish_reason": "stop"}


def response(row: Value) -> Value:
    said = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": row["completion"]}],
    }
    return {"output": [{"type": "reasoning", "summary": []}, said]}


def conversation(row: Value) -> list[Value]:
    return [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": row["prompt"]},
        {"role": "assistant", "content": row["completion"]},
    ]


def trajectory(row: Value) -> Value:
    """Of two steps, as rLLM writes it; the reward of a step is not that of the whole."""
    first = [*conversation(row)[:2], {"role": "assistant", "content": "Let me look it up."}]
    last = [*first, {"role": "user", "content": "It is there."}, conversation(row)[-1]]
    steps = [
        {"chat_completions": said, "model_response": said[-1]["content"], "reward": 0.0, "done": said is last}
        for said in (first, last)
    ]
    task = {"question": row["prompt"], "ground_truth": "7"}
    return {
        "uid": row["completion"],
        "name": "solver",
        "task": task,
        "steps": steps,
        "reward": row["correct"],
    }


def human(row: Value) -> list[Value]:
    """A prompt as OpenCompass writes it."""
    return [{"role": "HUMAN", "prompt": row["prompt"]}]


# One value: a document; a list: lines.
FORMS: dict[str, Value | list[Value]] = {
    "rollouts": nested("rollouts"),
    "samples": nested("samples", "completion"),
    "any name": nested("attempts", "model_output"),
    "lists": [
        {
            "id": r[0]["id"],
            "problem": r[0]["prompt"],
            "responses": column(r, "completion"),
            "grades": column(r, "correct"),
            "accuracy": 0.5,
        }
        for r in GROUPS
    ],
    "lists of code": [
        {
            "question_id": r[0]["id"],
            "question_content": r[0]["prompt"],
            "code_list": column(r, "completion"),
            "graded_list": column(r, "correct"),
            "pass@1": 0.5,
        }
        for r in GROUPS
    ],
    "Qwen2.5-Math": [
        {
            "idx": r[0]["id"],
            "question": r[0]["prompt"],
            "answer": "7",
            "code": column(r, "completion"),
            "pred": ["1", "2"],
            "score": column(r, "correct"),
        }
        for r in GROUPS
    ],
    "Qwen2.5-Math, one response each": [
        {
            "idx": i,
            "question": row["prompt"],
            "gt": "7",
            "answer": f"It is {row['correct']}, since that is the gold answer to number {i}.",
            "code": [row["completion"]],
            "pred": ["7"],
            "score": [bool(row["correct"])],
        }
        for i, row in enumerate(ROWS)
    ],
    "lists of messages": [
        {
            "id": r[0]["id"],
            "prompt": [{"role": "user", "content": r[0]["prompt"]}],
            "rewards": column(r, "correct"),
            "completions": [[{"role": "assistant", "content": row["completion"]}] for row in r],
        }
        for r in GROUPS
    ],
    "results": {"metadata": {"model": "m"}, "results": ROWS},
    "deep": {
        "categories": [
            {
                "name": "a",
                "datasets": [{"average_score": 0.5, "results": nested("completions", "full_model_response")}],
            }
        ]
    },
    "columns": {name: column(ROWS, name) for name in ROWS[0]},
    "pandas": {name: {str(i): row[name] for i, row in enumerate(ROWS)} for name in ROWS[0]},
    "pandas by row": {str(i): row for i, row in enumerate(ROWS)},
    "pandas split": {
        "columns": list(ROWS[0]),
        "index": list(range(N * K)),
        "data": [list(row.values()) for row in ROWS],
    },
    "details": {"accuracy": 0.5, "details": {str(i): row for i, row in enumerate(ROWS)}},
    "evalscope": [
        {
            "index": i,
            "input": row["prompt"],
            "target": "7",
            "sample_score": {
                "sample_id": row["id"],
                "score": {
                    "value": {"acc": row["correct"]},
                    "prediction": row["completion"],
                    "extracted_prediction": "7",
                },
            },
        }
        for i, row in enumerate(ROWS)
    ],
    "OLMES": [
        {
            "doc_id": row["id"],
            "metrics": {"exact_match": row["correct"]},
            "model_output": [{"continuation": row["completion"]}],
        }
        for row in ROWS
    ],
    "NeMo Gym": [
        {
            "responses_create_params": {"input": [{"role": "user", "content": row["prompt"]}]},
            "response": response(row),
            "reward": row["correct"],
            "_ng_task_index": row["id"],
        }
        for row in ROWS
    ],
    "NeMo-RL": [
        {"content": [row["prompt"], row["completion"]], "rewards": row["correct"], "idx": i, "token_ids": [1]}
        for i, row in enumerate(ROWS)
    ],
    "NeMo-RL in batches": [
        {
            "content": [[row["prompt"], row["completion"]] for row in ROWS],
            "rewards": column(ROWS, "correct"),
            "token_ids": [1],
        }
    ],
    "OpenAI batch": [
        {
            "id": f"r{i}",
            "custom_id": f"{row['id']}-{i % K}",
            "response": {"body": {"choices": [chat(row)]}},
            "correct": row["correct"],
        }
        for i, row in enumerate(ROWS)
    ],
    "EvalPlus": {
        "date": "",
        "eval": {
            str(p): [
                {
                    "solution": row["completion"],
                    "base_status": "pass",
                    "plus_status": "pass" if row["correct"] else "fail",
                }
                for row in rows
            ]
            for p, rows in enumerate(GROUPS)
        },
    },
    "rLLM": [
        {
            "id": f"task {row['id']}:{i % K}",
            "task": {"question": row["prompt"]},
            "termination_reason": "env_done",
            "is_correct": bool(row["correct"]),
            "trajectories": [trajectory(row)],
            "metrics": {"acc": 1.0},
        }
        for i, row in enumerate(ROWS)
    ],
    "trajectories of rLLM": [trajectory(row) for row in ROWS],
    "tau-bench": [
        {
            "task_id": row["id"],
            "reward": row["correct"],
            "info": {
                "task": {"instruction": row["prompt"], "outputs": []},
                "reward_info": {"reward": row["correct"]},
            },
            "traj": [*conversation(row), {"role": "user", "content": "###STOP###"}],
            "trial": i % K,
        }
        for i, row in enumerate(ROWS)
    ],
    "tau2-bench": {
        "info": {"num_trials": K, "agent_info": {"llm": "m"}},
        "tasks": [{"id": str(p), "user_scenario": {"instructions": "Ask."}} for p in range(N)],
        "simulations": [
            {
                "id": row["completion"],
                "task_id": str(row["id"]),
                "reward_info": {"reward": row["correct"], "db_check": {"db_reward": 1.0}},
                "messages": [{"role": "assistant", "content": "Hello!"}, *conversation(row)[1:]],
                "trial": i % K,
            }
            for i, row in enumerate(ROWS)
        ],
    },
    "MLflow": {
        "columns": ["inputs", "ground_truth", "outputs", "token_count", "exact_match/v1/score"],
        "data": [[row["prompt"], "7", row["completion"], 20, row["correct"]] for row in ROWS],
    },
    "OpenCompass": {
        "accuracy": 50.0,
        "details": {
            "type": "GEN",
            **{
                str(i): {
                    "prompt": human(row),
                    "origin_prediction": row["completion"],
                    "predictions": "7",
                    "references": "7",
                    "correct": bool(row["correct"]),
                }
                for i, row in enumerate(ROWS)
            },
        },
    },
    "OpenCompass, details in a list": {
        "accuracy": 50.0,
        "details": [
            {
                "prompt": human(row),
                "origin_prediction": row["completion"],
                "pred": "7",
                "answer": "7",
                "correct": bool(row["correct"]),
            }
            for row in ROWS
        ],
    },
    "NeMo-Skills": [
        {
            "problem": row["prompt"],
            "expected_answer": "7",
            "generation": row["completion"],
            "num_generated_tokens": 30,
            "predicted_answer": "7",
            "symbolic_correct": bool(row["correct"]),
            "judgement": "Judgement: Yes",
        }
        for row in ROWS
    ],
    "ms-swift": [
        {
            "step": ["1"] * K,
            "prompt": column(r, "prompt"),
            "completion": column(r, "completion"),
            "MathAccuracy": [float(row["correct"]) for row in r],
            "Format": [1.0] * K,
            "advantages": [0.1] * K,
        }
        for r in GROUPS
    ],
    "simple-evals": [
        {"score": float(row["correct"]), "html": "", "convo": conversation(row)} for row in ROWS
    ],
    "Langfuse with messages": [
        {
            "id": f"t{i}",
            "input": {"messages": conversation(row)[:2]},
            "output": {"role": "assistant", "content": row["completion"]},
            "scores": [{"name": "right", "value": row["correct"], "dataType": "NUMERIC"}],
        }
        for i, row in enumerate(ROWS)
    ],
    "Langfuse": [
        {
            "id": f"t{i}",
            "input": row["prompt"],
            "output": row["completion"],
            "scores": [{"name": "right", "value": row["correct"]}],
        }
        for i, row in enumerate(ROWS)
    ],
}


def written(path: Path, form: Value | list[Value]) -> Path:
    lines = form if isinstance(form, list) else [form]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("name", FORMS)
def test_a_form_gives_the_rows_of_flat_records(name: str, tmp_path: Path) -> None:
    log = read_rollouts(written(tmp_path / "log", FORMS[name]))
    table = log.read()
    assert len(log.score_names) == 1
    assert table["completion"].to_list() == column(ROWS, "completion")
    assert table[log.score_names[0]].to_list() == column(ROWS, "correct")
    problem = "id" if table["id"].null_count() == 0 else "prompt"
    groups = table[problem].to_list()
    assert len(set(groups)) == N
    assert all(len(set(groups[K * p : K * p + K])) == 1 for p in range(N))


def test_a_mean_is_not_the_grade_of_each_response(tmp_path: Path) -> None:
    lines = [
        {"prompt": f"What is {p}?", "responses": ["a long text", "and another"], "accuracy": 0.5}
        for p in range(3)
    ]
    with pytest.raises(StratagemError, match="'accuracy' is one number for all responses of a record"):
        read_rollouts(written(tmp_path / "log", lines))


@pytest.mark.parametrize(
    ("record", "completion"),
    [
        (lambda row: {"prompt": row["prompt"], "zz": [{"text": row["completion"], "ok": 1}]}, "zz.text"),
        (
            lambda row: {"prompt": row["prompt"], "api": {"choices": [chat(row)]}},
            "api.choices.0.message.content",
        ),
    ],
)
def test_the_user_may_name_a_path(record: Callable[[Value], Value], completion: str, tmp_path: Path) -> None:
    path = written(tmp_path / "log", [record(row) for row in ROWS])
    table = read_rollouts(path, ReadOptions(columns={"completion": completion})).read()
    assert table["completion"].to_list() == column(ROWS, "completion")


def test_ids_and_scores_alone_are_counts(tmp_path: Path) -> None:
    lines = [{"id": row["id"], "score": row["correct"]} for row in ROWS]
    table = read_rollouts(written(tmp_path / "log", lines)).read()
    assert table.select("id", "count_n", "count_c").rows()[:2] == [("0", 1, 0.0), ("0", 1, 1.0)]


def test_a_broken_row_of_a_document_costs_that_row(tmp_path: Path) -> None:
    broken = [row if i != 4 else {"id": 2, "score": 1} for i, row in enumerate(ROWS)]
    log = read_rollouts(written(tmp_path / "log", {"results": broken}))
    assert log.read().height == N * K - 1
    assert [(left_out.row, left_out.reason) for left_out in log.examples] == [(5, "completion: missing")]
