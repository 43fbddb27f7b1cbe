"""The folder that the callback Live of a TRL run writes, on the page."""

from __future__ import annotations

from pathlib import Path

from stratagem.integrations.response_files import ResponseFiles
from stratagem.rollouts.declared import Declared
from stratagem.watch.live import LiveRun
from stratagem.watch.responses import Asked


def test_without_knowing_what_is_right_no_reward_is_shown(tmp_path: Path) -> None:
    files = ResponseFiles(tmp_path, Declared(by=(), window=4))
    for step in (1, 2, 3):
        rows = [
            {
                "problem_id": f"p{problem}",
                "group": f"{step}-{problem}",
                "prompt": f"{problem}?",
                "completion": f"{step}.{sample}",
                "score": float(sample == 0),
                "strategy": "guess",
                "finish_reason": "stop",
                "completion_tokens": 3,
            }
            for problem in range(4)
            for sample in range(4)
        ]
        files.add("train", step, rows)
    open_question = LiveRun(tmp_path, Asked("nothing")).poll()
    assert not open_question.scored
    assert [note for note in open_question.notes if "--score nothing" in note]
    assert open_question.scalars.is_empty()
    run = LiveRun(tmp_path).poll()
    assert run.scalars["reward"].to_list() == [0.25] * 3
    assert run.window == 4
