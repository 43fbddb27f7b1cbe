"""Every task of the table proves itself: its demonstrations, its recogniser, its words and its splits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, StratagemError
from stratagem.tasks import TASKS, Task, make_task, task_of
from stratagem.tasks.base import SPLITS

SPECS = [*TASKS, "finite_field:p=13", "finite_field:relabel=problem"]


@pytest.fixture(params=SPECS)
def task(request: pytest.FixtureRequest) -> Task:
    return make_task(request.param)


def middle(task: Task) -> tuple[int, int]:
    """Difficulties with many problems: the middle of the task's range."""
    half = sum(task.steps) // 2
    return half, half + 1


def test_a_demonstration_is_right_and_its_strategy_is_recognised(task: Task) -> None:
    for problem in task.generate("eval", 60, middle(task)):
        for name, strategy in task.strategies.items():
            text = strategy.demonstrate(task, problem.data)
            label = task.label(problem, text)
            assert text.split()[0] == strategy.OPENING
            assert label.strategy == name
            if label.error not in task.guesses:
                assert label.error is None
                assert task.verify(problem, text) == 1
            assert len(text.split()) <= max(map(task.demonstration_words, middle(task))) * 4 // 3


def test_a_demonstration_of_another_problem_is_wrong(task: Task) -> None:
    """Its answer counts where it happens to be the same, but an error in the work is found."""
    first, *others = task.generate("eval", 40, middle(task))
    for other in others:
        for name, strategy in task.strategies.items():
            text = strategy.demonstrate(task, other.data)
            said = strategy.demonstrate(task, first.data).split()[-1]
            assert task.verify(first, text) == (text.split()[-1] == first.answer)
            if text.split()[-1] not in (said, first.answer):
                assert task.label(first, text).error is not None, name


def test_several_traces_of_a_problem_are_of_different_strategies(task: Task) -> None:
    problems = task.generate("sft", 90, middle(task))
    names = list(task.strategies)
    for traces in range(1, len(names) + 1):
        texts = task.demonstrations(problems, "all", 3, traces)
        used: list[str] = []
        for number, problem in enumerate(problems):
            mine = texts[number * traces : (number + 1) * traces]
            used += {task.label(problem, text).strategy for text in mine}
            assert mine[0] == task.demonstrations([problem], "all", 3)[0]
        assert len(used) == len(texts) == 90 * traces  # no strategy twice for a problem
        for name in names:  # a third each of three, within chance
            assert used.count(name) / len(used) == pytest.approx(1 / len(names), abs=0.17)
    with pytest.raises(
        StratagemError, match=rf"--traces {len(names) + 1}: 'all' has {len(names)} strategies"
    ):
        task.demonstrations(problems, "all", 3, len(names) + 1)


def test_problems_depend_on_task_split_seed_and_place_alone(task: Task) -> None:
    problems = task.generate("rl", 30, middle(task), seed=3)
    assert problems[:10] == task.generate("rl", 10, middle(task), seed=3)
    assert len({problem.id for problem in problems}) == 30
    assert {problem.kind for problem in problems} == set(task.kinds)
    assert {problem.difficulty for problem in problems} == set(middle(task))
    assert problems != task.generate("rl", 30, middle(task), seed=4)


def test_splits_share_no_content(task: Task) -> None:
    contents = {
        split: {tuple(map(str, task.content(problem))) for problem in task.generate(split, 60, middle(task))}
        for split in SPLITS
    }
    assert all(a == b or not contents[a] & contents[b] for a in SPLITS for b in SPLITS)


def test_a_prompt_says_its_problem_and_its_task(task: Task) -> None:
    for problem in task.generate("sft", 20, middle(task)):
        assert task.parse(problem.prompt) == problem
        assert task_of(problem.prompt) == task
        assert task_of(f"{task.instruction()}\n\n{problem.prompt}") == task


@pytest.mark.parametrize("spec", TASKS)
def test_the_words_are_all_that_prompts_and_demonstrations_need(spec: str) -> None:
    task = make_task(spec)
    assert len(set(task.words())) == len(task.words())
    for problem in task.generate("sft", 60, middle(task)):
        texts = [problem.prompt, *(way.demonstrate(task, problem.data) for way in task.strategies.values())]
        assert {word for text in texts for word in text.split()} <= set(task.words())


@given(data=st.data(), spec=st.sampled_from(SPECS), finish=st.sampled_from(["stop", "length"]))
def test_any_text_has_a_label_with_its_marks_inside(data: st.DataObject, spec: str, finish: str) -> None:
    task = make_task(spec)
    problem = task.problem(task.kinds[0], middle(task)[0], np.random.default_rng(0))
    words = st.lists(st.sampled_from([*task.words(), "the", "é"]), max_size=30).map(" ".join)
    text = data.draw(words | st.text(max_size=40))
    label = task.label(problem, text, finish)
    assert label.strategy in (*task.strategies, MIXED, OTHER, UNPARSED, TRUNCATED)
    assert all(0 <= mark.start <= mark.end <= len(text) for mark in label.marks)
    assert task.verify(problem, text) in (0.0, 1.0)
