"""What a line of a TRL run holds."""

from __future__ import annotations

import pytest

pytest.importorskip("trl", reason="needs the llm extra")

from stratagem.integrations.live import Response
from stratagem.integrations.trl import Live
from stratagem.training.trl_log import grpo_metrics


def test_a_line_of_rl_counts_its_cells_and_tokens() -> None:
    live = Live(lambda text: "forward", by=("kind", "difficulty"), problem="problem_id")
    live.responses = [
        Response("a", 0, ("evaluation", "2"), "forward", 1.0),
        Response("a", 0, ("evaluation", "2"), "backward", 0.0),
        Response("b", 1, ("inversion", "3"), "forward", None),
    ]
    live.latest = {"no_signal": 0.5}
    logs = {"reward": 0.25, "num_tokens": 33370.0, "completions/mean_length": 31.5}
    line = grpo_metrics(live)(logs | {"completions/clipped_ratio": 1 / 3})
    assert line["cells"] == [
        ["evaluation", 2, "backward", 1, 0],
        ["evaluation", 2, "forward", 1, 1],
        ["inversion", 3, "forward", 1, 0],
    ]
    assert (line["tokens"], line["length"], line["truncated"], line["no_signal"]) == (33370, 31.5, 1, 0.5)
    assert grpo_metrics(live)({})["tokens"] is None
