"""Readers of logs by frameworks: telling them apart, lm-evaluation-harness and lighteval, damaged records."""

import contextlib
import json
import zipfile

import pytest

from stratagem.records import StratagemError
from stratagem.rollouts.log import read_rollouts
from stratagem.rollouts.readers import READERS, inspect_ai, lighteval, lm_eval
from stratagem.rollouts.readers.row import BadRecord
from tests.rollouts.frameworks import HERE, LAST, LOGS, columns, damaged, records


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_recognised_by_its_own_reader(name):
    assert read_rollouts(HERE / name).format == LOGS[name].NAME


@pytest.mark.parametrize("name", LOGS)
def test_no_other_framework_recognises_a_log(name):
    frameworks = [reader for reader in READERS.values() if reader.name not in ("plain", LOGS[name].NAME)]
    for record in records(name):
        if LOGS[name].recognises(record):
            assert [reader.name for reader in frameworks if reader.recognises(record)] == []
    for file in [HERE / name] if (HERE / name).is_file() else (HERE / name).rglob("*.*"):
        head = file.read_bytes()[:65_536]
        assert [reader.name for reader in frameworks if reader.opens and reader.opens(file, head)] == []


def test_only_logs_of_inspect_are_opened_by_its_reader(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("samples/a_epoch_1.json", "{}")
    head = (tmp_path / "some.zip").read_bytes()
    assert not inspect_ai.opens(tmp_path / "some.zip", head)
    assert not inspect_ai.opens(tmp_path / "some.zip", head[:10] + b"broken")
    assert not inspect_ai.opens(tmp_path / "log.json", b'{"status": "success", "eval": {}}')


def test_lm_eval_each_filter_has_a_score_of_its_own():
    rows = columns("lm_eval/sums", "doc_id", "filter", "completion", "exact_match,strict-match",
                    "exact_match,flexible-extract")  # fmt: skip
    first, second = "2 and 3 are 6, no. The answer is 5", "It is 20"
    assert rows == [
        ("0", "strict-match", first, 1.0, None),
        ("1", "strict-match", second, 0.0, None),
        ("0", "flexible-extract", first, None, 1.0),
        ("1", "flexible-extract", second, None, 1.0),
    ]


def test_lm_eval_ids_are_of_the_content():
    ids = columns("lm_eval/sums", "id")
    assert ids[0] == ids[2] == (records("lm_eval/sums")[0]["doc_hash"],)
    assert ids[1] != ids[0]
    assert ids[0] == columns("lm_eval/sums_repeats", "id")[0]


def test_lm_eval_repeats_do_not_inherit_a_score():
    rows = columns("lm_eval/sums_repeats", "filter", "sample", "completion", "exact_match,score-first")
    assert [row[3] for row in rows] == [1.0, None, None, 0.0, None, None] + [None] * 6
    assert [row[1] for row in rows] == [0, 1, 2] * 4
    assert rows[4][2] == "The answer is 20"
    assert read_rollouts(HERE / "lm_eval/sums_repeats").score_names == (
        "exact_match,score-first",
    )  # of no vote


def test_lm_eval_mean_of_all_repeats_is_read_as_counts():
    log = read_rollouts(HERE / "lm_eval/sums_pass")
    assert log.counts_only
    assert log.read().select("count_n", "count_c").rows() == [(3, 2.0), (3, 2.0)]


def test_lm_eval_log_likelihoods_are_no_rollouts():
    with pytest.raises(
        StratagemError, match=r"none of the first records can be used \(arguments: log-likelihoods"
    ):
        read_rollouts(HERE / "lm_eval/sums_choice")


def test_lm_eval_facts_are_in_the_request_and_in_the_results_beside():
    log = read_rollouts(HERE / "lm_eval/sums")
    assert log.facts["temperature"] == {"0.6"}
    assert log.facts["max_tokens"] == {"64"}
    results = next((HERE / "lm_eval/sums").glob("results_*.json"))
    assert log.facts["model"] == {json.loads(results.read_text())["model_name"]}


def test_lm_eval_messages_of_a_server_and_the_schema_before_0_4_6():
    """api_models.JsonChatStr is written as a list of one; there was no list of metrics, arguments were lists."""
    record = records("lm_eval/sums")[0]
    sent = json.dumps([{"role": "system", "content": "Answer."}, {"role": "user", "content": "2+3?"}])
    record["arguments"] = [[[sent], {"until": []}]]
    del record["metrics"], record["filter"], record["doc_hash"]
    (row,) = lm_eval.rows(record, LAST)
    assert (row["prompt"], row["question"], row["id"]) == ("system: Answer.\n\nuser: 2+3?", "2+3?", "0")
    assert row["scores"] == {"exact_match": 1.0}


@pytest.mark.parametrize(
    ("filtered", "named", "scores"),
    [
        ("5", "none", [1.0, None]),
        ("[invalid]", "first", [1.0, None]),
        ("7", "mine", [{}, {}]),  # of which repeat it is cannot be told
        ("5", "majority", [{}, {}]),
    ],
)
def test_lm_eval_which_repeat_was_scored(filtered, named, scores):
    record = records("lm_eval/sums")[0] | {"resps": [["It is 5", "It is 6"]], "filtered_resps": [filtered]}
    rows = list(lm_eval.rows(record | {"filter": named}, LAST))
    row_scores = [next(iter(row["scores"].values())) if row["scores"] else {} for row in rows]
    assert row_scores == scores


def test_lighteval():
    rows = columns(
        "lighteval/sums.parquet", "id", "prompt", "question", "completion", "em", "finish_reason", "tokens"
    )
    assert rows == [
        ("sums/0", "system: Answer.\n\nuser: 2+3?", "2+3?", "<think>2 and 3</think>5", 1.0, "stop", 3),
        ("sums/1", "system: Answer.\n\nuser: 4*5?", "4*5?", "20 and so on and", 0.0, "length", 5),
    ]


def test_lighteval_mean_of_all_samples_is_read_as_counts():
    rows = columns("lighteval/sums_avg.parquet", "id", "count_n", "count_c")
    means = [record["metric"]["avg@n:n=4"] for record in records("lighteval/sums_avg.parquet")]
    assert rows == [("sums_avg/0", 4, 4 * means[0]), ("sums_avg/1", 4, 4 * means[1])]


@pytest.mark.parametrize("name", ["old", "old_text"])
def test_lighteval_old_schema(name):
    rows = columns(
        f"lighteval/{name}.parquet", "prompt", "question", "completion", "em", "extractive_match", "tokens"
    )
    assert rows == [
        ("Answer.\n2+3?", "2+3?", "<think>2 and 3</think>5", 0.0, 1.0, 3),
        ("Answer.\n4*5?", "4*5?", "20 and so on and", 0.0, 1.0, 5),
    ]


@pytest.mark.parametrize(
    ("metric", "counted"),
    [
        ("avg@n:n=4", True),
        ("pass@k:k=1&n=4", True),
        ("math_pass@1:4_samples", True),
        ("avg@n:n=2", False),
        ("pass@k:k=2&n=4", False),
        ("maj@n:n=4", False),
        ("em", False),
    ],
)
def test_lighteval_scores_of_several_samples(metric, counted):
    record = records("lighteval/sums_avg.parquet")[0] | {"metric": {metric: 0.75}}
    rows = list(lighteval.rows(record, LAST))
    if counted:
        assert [(row["count_n"], row["count_c"]) for row in rows] == [(4, 3)]
    else:
        assert [(row["sample"], row["scores"]) for row in rows] == [(n, {}) for n in range(4)]


def test_lighteval_reasoning_kept_apart():
    record = damaged(records("lighteval/sums.parquet")[1], "model_response.reasonings", ["4 times 5"])
    (row,) = lighteval.rows(record, LAST)
    assert row["completion"] == "<think>\n4 times 5\n</think>\n\n20 and so on and"


@pytest.mark.parametrize(
    ("name", "path", "value", "message"),
    [
        ("verifiers/eval", "traces", "none", "traces: not a list"),
        ("verifiers/eval", "traces", [], "traces: none"),
        ("verifiers/eval", "traces.0.nodes", 7, "nodes: not a list"),
        ("verifiers/eval", "traces.0.nodes", [], "nodes: no message of the model"),
        ("verifiers/eval", "traces.0.nodes.2.parent", 99, "nodes.parent: no node"),
        ("verifiers/eval", "traces.0.nodes.2.parent", 2, "nodes.parent: no node"),  # a loop
        ("verifiers/eval", "traces.0.nodes.1.message", "hi", "nodes.message"),
        ("verifiers/eval", "traces.0.rewards", [1], "rewards: not an object"),
        ("verifiers/eval", "traces.0.rewards.correct", 1, "rewards: one is not an object"),
        ("verifiers/eval", "traces.0.rewards.correct.score", "x", "rewards.score: text"),
        ("verifiers/eval", "traces.0.calls.0.usage.completion_tokens", 1.5, "calls.usage.completion_tokens"),
        ("verifiers/eval", "traces.0.task.key", [], "task.key"),
        ("verifiers/results", "completion", None, "completion: missing"),
        ("verifiers/results", "completion", 5, "completion: int"),
        ("verifiers/results", "reward", "good", "reward: text"),
        ("verifiers/results", "metrics.correct", [], "metrics.correct: list"),
        ("verifiers/results", "example_id", {}, "example_id: dict"),
        ("verifiers/results", "prompt", [{"text": "no role"}], "prompt: a list"),
        ("skyrl/dumped_evals", "input_prompt", None, "input_prompt: not text"),
        ("skyrl/dumped_evals", "output_response", ["a"], "output_response: not text"),
        ("skyrl/dumped_evals", "score", "high", "score: text"),
        ("skyrl/dumped_evals", "score", [], "score: a list"),
        ("skyrl/dumped_evals", "stop_reason", "agent_timeout", "stop_reason: agent_timeout"),
        ("inspect_ai/sums.json", "scores", [], "scores: not an object"),
        ("inspect_ai/sums.json", "scores.includes", "C", "scores: one has no value"),
        ("inspect_ai/sums.json", "messages", [{"content": "no role"}], "messages: a list"),
        ("inspect_ai/sums.json", "messages", [], "messages: none by the model"),
        ("inspect_ai/sums.json", "epoch", "first", "epoch: text"),
        ("inspect_ai/sums.json", "invalidation", {"author": "me"}, "invalidation"),
        ("lm_eval/sums", "resps", "text", "resps: not a list"),
        ("lm_eval/sums", "resps", [[3]], "resps: not text"),
        ("lm_eval/sums", "resps", [], "resps: not text"),
        ("lm_eval/sums", "arguments", {}, "arguments: no requests"),
        ("lm_eval/sums", "metrics", "acc", "metrics: not a list"),
        ("lm_eval/sums", "exact_match", float("inf"), "exact_match: an infinite"),
        ("lighteval/sums.parquet", "doc", "text", "doc: not an object"),
        ("lighteval/sums.parquet", "metric", None, "metric: not an object"),
        ("lighteval/sums.parquet", "model_response.text", [], "model_response.text: no generated text"),
        ("lighteval/old.parquet", "predictions", [1.5], "predictions: no generated text"),
        ("lighteval/old_text.parquet", "metrics", "{broken", "metrics: not an object"),
    ],
)
def test_a_damaged_record_names_the_field(name, path, value, message):
    record = records(name)[1 if name.startswith("inspect") else 0]
    with pytest.raises(BadRecord) as fault:
        list(LOGS[name].rows(damaged(record, path, value), LAST))
    assert str(fault.value).startswith(message)


@pytest.mark.parametrize("name", LOGS)
def test_facts_of_a_damaged_record_are_those_that_are_left(name):
    facts = LOGS[name].facts
    for field in records(name)[0]:
        for value in (None, 7, "text", [], {}, [None], [{}]):
            changed = records(name)[0] | {field: value}
            with contextlib.suppress(TypeError, AttributeError):  # which the log takes for "says nothing"
                assert all(isinstance(fact, str) for fact in facts(HERE / name, changed).values())
