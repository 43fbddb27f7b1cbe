"""The forms in which one and the same right response may be written."""

import numpy as np
import pytest

from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field.chain import EVALUATION, KINDS
from stratagem.tasks.finite_field.field import STRATEGIES
from tests.tasks.finite_field.chains import PROBLEM, TASK


@pytest.mark.parametrize(
    "completion",
    [
        "forward e9 #3 +e2 e3 #4 *e9 e6 ; answer last e6",
        "FORWARD E9 #3 +E2 E3 #4 *E9 E6 ; ANSWER LAST E6",
        "forward e9 #3 +e2 e3 #4 *e9 e6 ; answer guess e6",
        "forward guess e9 #3 +e2 e3 #4 *e9 e6 ; answer last e6",
        "forward guess e9 #3 +e2 e3 #4 *e9 e6 ; answer: guess **e6**",
        "start e9 ; #3 +e2 #4 *e9 ; evaluate : forward e9 #3 +e2 e3 #4 *e9 e6 ; answer last e6",
        "forward e9 #3 +e2 e3 #4 *e9 e6 ; answer e6",
        "FORWARD E9 #3 +E2 E3 #4 *E9 E6 ; ANSWER E6",
        "e9 #3 +e2 e3 #4 *e9 e6 answer e6",
        "forward: e9, #3: +e2 -> e3, #4: *e9 -> e6. Answer: e6.",
        "Forward. Start at e9\n#3 + e2 = e3\n#4 * e9 = e6\n\nAnswer: e6",
        "#3: e9 + e2 = e3\n#4: e3 × e9 = e6\nThe final answer is **e6**.",
        "Go forward from e9.\n1. **#3**: apply +e2, giving e3\n2. **#4**: apply *e9 → e6\n**Answer:** e6",
        "start e9 ; #3 +e2 #4 *e9 ; evaluate : forward e9 #3 +e2 e3 #4 *e9 e6 ; answer e6",
        "I begin with e9.\nStep 3: e9 + e2 = e3\n**Step 4:** e3 * e9 = e6\nThe answer to the problem is e6",
        "start e9 ; #3 +e2 #4 *e9 ; evaluate :\nforward e9\nstep 3: +e2 = e3\nstep 4: *e9 = e6\n; answer symbol e6",
        "Step 1: Start with e9.\nStep 2: #3 +e2 → e3\nStep 3: #4 *e9 → e6\nAnswer: The result is e6",
        "#3: $e_9 + e_2 = e_3$\n#4: $e_{3} \\times e_{9} = e_{6}$\nAnswer: $\\boxed{\\text{e6}}$",
        "From \\(\\text{e9}\\)\n#3 \\(+\\text{e2}\\): \\(\\text{e3}\\)\n#4 \\(\\cdot e_9\\): \\(e_6\\)\nanswer: [e6]",
    ],
)
def test_forms_of_one_right_forward_response(completion):
    label = TASK.label(PROBLEM, completion)
    assert (label.strategy, label.error) == ("forward", None), label
    assert all(mark.error is None for mark in label.marks)
    assert len(label.marks) == 4
    assert TASK.verify(PROBLEM, completion) == 1


@pytest.mark.parametrize(
    "completion",
    [
        "backward guess e6 #4 /e9 e3 #3 -e2 e9 ; answer guess e6",
        "BACKWARD GUESS E6 #4 /E9 E3 #3 -E2 E9 ; ANSWER GUESS E6",
        "backward guess e6 #4 /e9 e3 #3 -e2 e9 ; answer last e6",
        "backward last e6 #4 /e9 e3 #3 -e2 e9 ; answer guess e6",
        "backward e6 #4 /e9 e3 #3 -e2 e9 ; answer guess e6",
        "start e9 ; #3 +e2 #4 *e9 ; evaluate : backward guess e6 #4 /e9 e3 #3 -e2 e9 ; answer guess e6",
        "backward e6 #4 /e9 e3 #3 -e2 e9 ; answer e6",
        "Backward from E6:\n#4: ÷ E9 → E3\n#3: − E2 → E9\nAnswer: E6.",
        "I guess e6 and go back. #4: e6 / e9 = e3; #3: e3 - e2 = e9; so the answer is e6",
        "Guess e_6. Step 4: e_6 \\div e_9 = e_3. Step 3: e_3 - e_2 = e_9. Answer: ### e6",
    ],
)
def test_forms_of_one_right_backward_response(completion):
    label = TASK.label(PROBLEM, completion)
    assert (label.strategy, label.error) == ("backward", None), label
    assert TASK.verify(PROBLEM, completion) == 1


@pytest.mark.parametrize("relabel", ["study", "problem"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_by_the_letter_of_the_instruction_is_clean(kind, relabel):
    """The state begun with, each step's label, operation and new state, "; answer" and the symbol: nothing else."""
    task = FiniteField(11, relabel)
    name = "forward" if kind == EVALUATION else "backward"
    for seed in range(20):
        problem = task.problem(kind, 4, np.random.default_rng(seed))
        (path,) = STRATEGIES[name].path(problem.data).walks
        steps = [
            f"#{step.label} {task.word(step)} {task.symbol(state)}"
            for step, state in zip(path.steps, path.states[1:], strict=True)
        ]
        text = f"{task.symbol(path.states[0])} {' '.join(steps)} ; answer {problem.answer}"
        label = task.label(problem, text)
        assert (label.strategy, label.error) == (name, None)
        assert task.verify(problem, text) == 1


def test_marks_of_latex_lie_where_it_is_written():
    text = r"e_9 #3 +e_2 e_{3} #4 *\text{e9} e_6 ; answer $e_{6}$"
    label = TASK.label(PROBLEM, text)
    assert (label.strategy, label.error) == ("forward", None)
    assert [text[mark.start : mark.end] for mark in label.marks[1:]] == [
        "#3 +e_2 e_{3}",
        r"#4 *\text{e9} e_6",
        "answer $e_{6}",
    ]
