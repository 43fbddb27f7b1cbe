"""Which strategy a response follows: gold ones, tolerant forms, and the values that are no strategy."""

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, StratagemError
from stratagem.strategies import (
    ARITHMETIC_FACT,
    CARRIED_STATE,
    SETS,
    STOPPING,
    STRATEGIES,
    Path,
    demonstrations,
    label,
)
from stratagem.strategies.trace import write
from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field import EVALUATION, KINDS, Chain, Step

TASK = FiniteField(11)


def chain_of(kind, start, *words):
    """A chain from words such as ``#3+e2``."""
    steps, states = [], [start]
    for word in words:
        number, operand = word[1:].replace("*", "+").split("+")
        steps.append(Step(int(number), "*" if "*" in word else "+", int(operand[1:])))
        states.append(TASK.apply(states[-1], steps[-1]))
    return Chain(kind, tuple(steps), tuple(states), TASK.residues)


# start e9 ; #3 +e2 #4 *e9 ; evaluate : forward e9 #3 +e2 e3 #4 *e9 e6 ; answer last e6
PROBLEM = TASK.as_problem(chain_of(EVALUATION, 9, "#3+e2", "#4*e9"))
LONG = TASK.as_problem(chain_of(EVALUATION, 9, "#3+e2", "#4*e9", "#5+e1", "#6*e3", "#7*e4", "#8+e6"))
ONE = TASK.as_problem(chain_of(EVALUATION, 9, "#3+e2"))


def strategy_of(completion, problem=PROBLEM, **options):
    return label(TASK, problem, completion, **options).strategy


# -- gold --------------------------------------------------------------------------------------------------


def gold_never_errs(count):
    rng = np.random.default_rng(0)
    fields = [FiniteField(p, relabel) for p in (2, 3, 11, 13, 97) for relabel in ("study", "problem")]
    for i in range(count // len(STRATEGIES)):
        task = fields[i % len(fields)]
        problem = task.problem(KINDS[i // 10 % 2], 1 + i % 19, rng)
        for name, strategy in STRATEGIES.items():
            text = strategy.demonstrate(task, problem.data)
            found = label(task, problem, text)
            assert (found.strategy, found.error, found.step) == (name, None, None), (problem.prompt, text)
            assert len(found.marks) == problem.difficulty + 2
            assert task.verify(problem, text) == 1
            assert " ".join(text[m.start : m.end] for m in found.marks) == text.replace(" ;", "")


def test_gold_never_errs():
    gold_never_errs(5_000)


@pytest.mark.slow
def test_a_hundred_thousand_gold_never_err():
    gold_never_errs(100_000)


def test_the_modules_are_what_the_dict_says():
    for name, strategy in STRATEGIES.items():
        assert name == strategy.NAME
        for problem in (PROBLEM, LONG, ONE):
            path = strategy.path(problem.data)
            assert {step.operator for step in path.steps} <= set(strategy.OPERATORS)
            assert path.answer == problem.data.asked
            for step, before, after in zip(path.steps, path.states, path.states[1:], strict=False):
                assert TASK.apply(before, step) == after


# -- tolerance ---------------------------------------------------------------------------------------------


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
    found = label(TASK, PROBLEM, completion)
    assert (found.strategy, found.error) == ("forward", None), found
    assert all(mark.error is None for mark in found.marks)
    assert len(found.marks) == 4
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
    found = label(TASK, PROBLEM, completion)
    assert (found.strategy, found.error) == ("backward", None), found
    assert TASK.verify(PROBLEM, completion) == 1


@pytest.mark.parametrize("relabel", ["study", "problem"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_by_the_letter_of_the_instruction_is_clean(kind, relabel):
    """The state begun with, each step's label, operation and new state, "; answer" and the symbol: nothing else."""
    task = FiniteField(11, relabel)
    name = "forward" if kind == EVALUATION else "backward"
    for seed in range(20):
        problem = task.problem(kind, 4, np.random.default_rng(seed))
        path = STRATEGIES[name].path(problem.data)
        steps = [
            f"#{step.label} {task.word(step)} {task.symbol(state)}"
            for step, state in zip(path.steps, path.states[1:], strict=True)
        ]
        text = f"{task.symbol(path.states[0])} {' '.join(steps)} ; answer {problem.answer}"
        found = label(task, problem, text)
        assert (found.strategy, found.error) == (name, None)
        assert task.verify(problem, text) == 1


def test_marks_of_latex_lie_where_it_is_written():
    text = r"e_9 #3 +e_2 e_{3} #4 *\text{e9} e_6 ; answer $e_{6}$"
    found = label(TASK, PROBLEM, text)
    assert (found.strategy, found.error) == ("forward", None)
    assert [text[mark.start : mark.end] for mark in found.marks[1:]] == [
        "#3 +e_2 e_{3}",
        r"#4 *\text{e9} e_6",
        "answer $e_{6}",
    ]


# -- which -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        # The opening word alone is never enough …
        ("forward e9 ; answer e6", OTHER),
        ("forward e9 ; answer last e6", OTHER),
        ("forward e9", UNPARSED),
        ("backward guess e6 ; answer guess e6", OTHER),
        ("backward guess e6", UNPARSED),
        ("backward guess e9 #3 +e2 e3 #4 *e9 e6 ; answer guess e6", MIXED),
        ("forward e6 #4 /e9 e3 #3 -e2 e9 ; answer last e6", MIXED),
        ("backward e9 #3 +e2 e3 #4 *e9 e6 ; answer e6", MIXED),
        ("forward e6 #4 /e9 e3 #3 -e2 e9 ; answer e6", MIXED),
        # … and not needed; it decides where operators and order disagree.
        ("e9 #3 +e2 e3 #4 *e9 e6 ; answer e6", "forward"),
        ("e9 #3 +e2 e3 #4 *e9 e6 ; answer last e6", "forward"),
        ("guess e6 #4 /e9 e3 #3 -e2 e9 ; answer guess e6", "backward"),
        ("e6 #4 *e9 e3 #3 +e2 e9 ; answer e6", MIXED),
        # The words guess and last decide nothing.
        ("guess e9 #3 +e2 e3 #4 *e9 e6 ; answer guess e6", "forward"),
        ("e6 #4 /e9 e3 #3 -e2 e9 ; answer last e6", "backward"),
        ("guess e6 #4 *e9 e3 #3 +e2 e9 ; answer guess e6", MIXED),
        ("backward e6 #4 *e9 e3 #3 +e2 e9 ; answer e6", "backward"),
        ("forward e6 #4 *e9 e3 #3 +e2 e9 ; answer e6", "forward"),
        # Nothing but an answer, or nothing at all.
        ("answer e6", OTHER),
        ("answer last e6", OTHER),
        ("answer guess e6", OTHER),
        ("answer last", UNPARSED),
        ("guess e6", UNPARSED),
        ("last e6", UNPARSED),
        ("By symmetry, the answer is e6.", OTHER),
        ("e9 e3 e6 ; answer e6", OTHER),
        ("answer e99", OTHER),
        ("", UNPARSED),
        ("I do not know", UNPARSED),
        ("#3 #4", UNPARSED),
        ("# 3 + 4", UNPARSED),
        ("In step 3 something happens", UNPARSED),
        ("Step 1: e9 is given. Step 2: think. Answer: e6", OTHER),
    ],
)
def test_which(completion, expected):
    assert strategy_of(completion) == expected


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("forward e9 #3 +e2 e3 ; answer e3", "forward"),
        ("e9 #3 +e2 e3 ; answer e3", "forward"),
        ("backward e3 #3 -e2 e9 ; answer e3", "backward"),
        ("forward e9 #3 *e7 e3 ; answer e3", "forward"),
        ("forward e9 #44 +e2 e3 ; answer e3", "forward"),
        ("forward e9 #3 -e2 e3 ; answer e3", MIXED),
        ("forward e9 #3 e3 ; answer e3", OTHER),  # neither an operator nor an order to tell it by
    ],
)
def test_one_step(completion, expected):
    assert strategy_of(completion, ONE) == expected


def turned(first, second, at, back):
    """`at` steps of one strategy, then the last `back` steps of another."""
    one = STRATEGIES[first].demonstrate(TASK, LONG.data).split()
    two = STRATEGIES[second].demonstrate(TASK, LONG.data).split()
    head = one.index("#3" if first == "forward" else "#8")
    end = two.index(";")
    made = [*one[: head + 3 * at], *two[end - 3 * back :]]
    assert sum(word[0] == "#" for word in made) == at + back
    assert made[-4:-2] == [";", "answer"]
    return " ".join(made)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("first", "second"), [("forward", "backward"), ("backward", "forward")])
def test_turning_round_is_mixed(first, second, at):
    completion = turned(first, second, at, at)
    found = label(TASK, LONG, completion)
    if at == 1:  # one step and back: the second is as likely a slip
        assert found.strategy in (MIXED, first)
    else:
        assert found.strategy == MIXED
    assert found.step == at  # where it leaves the strategy that it began with
    without_opening = completion.split(maxsplit=1)[1]
    assert strategy_of(without_opening, LONG) == MIXED


def test_two_steps_back_are_no_mistake_however_many_went_before():
    assert strategy_of(turned("forward", "backward", 6, 2), LONG) == MIXED


def test_slips_that_outnumber_the_votes_are_mixed():
    assert strategy_of("e9 #3 +e2 e3 #4 /e9 e1 #5 -e1 e2 ; answer e2", LONG) == MIXED
    assert strategy_of("e9 #3 +e2 e3 #4 /e9 e1 #5 +e1 e2 ; answer e2", LONG) == "forward"


def test_one_step_against_the_rest_is_a_mistake():
    text = STRATEGIES["forward"].demonstrate(TASK, LONG.data)
    for step in LONG.data.steps:
        slip = text.replace(f"#{step.label} {TASK.word(step)}", f"#{step.label} {TASK.word(step.undone())}")
        assert strategy_of(slip, LONG) == "forward"
        assert strategy_of(slip.removeprefix("forward "), LONG) == "forward"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("cut", range(1, 56))
def test_truncated_wherever_it_is_cut(strategy, cut):
    text = STRATEGIES[strategy].demonstrate(TASK, PROBLEM.data)
    assert len(text) == {"forward": 47, "backward": 55}[strategy]  # so that all cuts are tried
    found = label(TASK, PROBLEM, text[:cut], finish_reason="length")
    assert (found.strategy, found.error) == (TRUNCATED, None)


def test_truncated_is_judged_up_to_the_last_whole_step():
    found = label(TASK, LONG, "forward e9 #3 +e2 e4 #4 *e9 e6 #5 +e", finish_reason="length")
    assert (found.strategy, found.error, found.step) == (TRUNCATED, ARITHMETIC_FACT, 0)


def test_a_right_answer_keeps_the_error_of_its_way():
    completion = "forward e9 #3 +e2 e4 #4 *e9 e6 ; answer e6"
    assert TASK.verify(PROBLEM, completion) == 1
    assert label(TASK, PROBLEM, completion).error == ARITHMETIC_FACT


def test_answer_before_the_steps_and_steps_after_it():
    early = label(TASK, PROBLEM, "Answer: e6. forward e9 #3 +e2 e3 #4 *e9 e6")
    assert (early.strategy, early.error, early.step) == ("forward", STOPPING, 0)
    assert [mark.start for mark in early.marks] == [0, 12, 23, 33]
    wrong_head = label(TASK, PROBLEM, "Answer: e6. forward e1 #3 +e2 e3 #4 *e9 e6")
    assert (wrong_head.error, [mark.error for mark in wrong_head.marks][:2]) == (
        STOPPING,
        [STOPPING, CARRIED_STATE],
    )
    spoken = label(TASK, PROBLEM, "Answer: last e6. forward e9 #3 +e2 e3 #4 *e9 e6")
    assert [(m.error, m.expected) for m in spoken.marks] == [(m.error, m.expected) for m in early.marks]
    assert [mark.start for mark in spoken.marks] == [0, 17, 28, 38]
    late = label(TASK, PROBLEM, "forward e9 #3 +e2 e3 #4 *e9 e6 ; answer e6 #3 +e2 e4")
    assert (late.strategy, late.error, late.step) == ("forward", STOPPING, 2)


def test_no_first_state():
    found = label(TASK, PROBLEM, "forward #3 +e2 e3 #4 *e9 e6 ; answer e6")
    assert (found.error, found.step, found.marks[0].expected) == (CARRIED_STATE, 0, "e9")
    assert [mark.error for mark in found.marks[1:]] == [None, None, None]
    found = label(TASK, PROBLEM, "forward #3 +e2 e4 #4 *e9 e6 ; answer e6")
    assert (found.marks[1].error, found.marks[1].expected) == (ARITHMETIC_FACT, "e3")


def test_no_first_state_after_the_word_guess():
    found = label(TASK, PROBLEM, "backward guess #4 /e9 e3 #3 -e2 e9 ; answer guess e6")
    assert (found.strategy, found.error, found.step) == ("backward", CARRIED_STATE, 0)
    assert (found.marks[0].start, found.marks[0].end, found.marks[0].expected) == (14, 14, "e6")
    assert [mark.error for mark in found.marks[1:]] == [None, None, None]


@pytest.mark.parametrize(
    ("name", "rest"), [("forward", "; answer last e6"), ("backward", "; answer guess e6")]
)
def test_the_expected_rest_is_canonical(name, rest):
    """What should stand where the answer is missing is what `write` writes there."""
    gold = STRATEGIES[name].demonstrate(TASK, PROBLEM.data)
    for end in (gold.index(";"), gold.index("answer"), gold.index("answer") + len("answer guess")):
        found = label(TASK, PROBLEM, gold[:end])
        assert (found.strategy, found.error, found.step) == (name, STOPPING, 2)
        assert found.marks[-1].expected == rest
    assert gold.endswith(rest)


def test_what_follows_a_missing_state_is_judged_by_the_right_one():
    right = label(TASK, PROBLEM, "forward e9 #3 +e2 #4 *e9 e6 ; answer e6")
    assert [mark.error for mark in right.marks] == [None, CARRIED_STATE, None, None]
    wrong = label(TASK, PROBLEM, "forward e9 #3 +e2 #4 *e9 e1 ; answer e1")
    assert [mark.error for mark in wrong.marks] == [None, CARRIED_STATE, ARITHMETIC_FACT, None]


# -- any text ----------------------------------------------------------------------------------------------

WORDS = [
    "forward",
    "backward",
    "answer",
    "guess",
    "last",
    ";",
    ":",
    "\n",
    "#3",
    "#4",
    "#5",
    "#9999",
    "+e2",
    "*e9",
    "-e2",
    "/e9",
]
WORDS += [
    "e9",
    "e3",
    "e6",
    "e11",
    "/e5",
    "+",
    "#",
    "x7",
    "the",
    "İ",
    "→",
    "Answer:",
    "**E6**",
    "state",
    "#4:",
]


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)), st.booleans())
def test_never_raises_and_marks_lie_in_order(completion, cut):
    for problem in (PROBLEM, LONG, ONE):
        found = label(TASK, problem, completion, "length" if cut else "stop")
        assert found.strategy in {*STRATEGIES, MIXED, OTHER, UNPARSED, TRUNCATED}
        assert (found.strategy == TRUNCATED) == cut
        assert (found.error is None) == (found.step is None)
        assert (found.error is None) == all(mark.error is None for mark in found.marks)
        end = 0
        for mark in found.marks:
            assert end <= mark.start <= mark.end <= len(completion)
            end = mark.end
        assert len(json.loads(found.evidence())["marks"]) == len(found.marks)
        if found.strategy in (*STRATEGIES,) and found.error is None:
            assert TASK.verify(problem, completion) == 1


@pytest.mark.parametrize(
    "piece",
    [
        "#3 ",
        "#3 + ",
        "#3 e e e e e ",
        "#3 e3 ",
        "aaaa ",
        "answer ",
        "answer is ** ",
        "answer last guess ",
        "guess ",
        "last ",
        " ",
        "the ",
        "to the ",
        "e1 + ",
        "e1+e1",
        "step 3 ",
        "e_1 ",
        "\\text{e1",
        "final result of the chain ",
    ],
)
def test_no_text_takes_long(piece):
    began = time.process_time()
    label(TASK, PROBLEM, piece * (20_000 // len(piece)))
    label(TASK, PROBLEM, "answer " + piece * (20_000 // len(piece)))
    label(TASK, PROBLEM, "#3" + piece * (20_000 // len(piece)))
    assert time.process_time() - began < 2  # it takes hundredths; a backtracking pattern would take hours


# -- sets and further strategies ---------------------------------------------------------------------------


def test_demonstrations():
    problems = TASK.generate("sft", 400, (2, 5))
    shown = {name: demonstrations(TASK, problems, name, seed=0) for name in SETS}
    strategies = [strategy_of(text, problem) for problem, text in zip(problems, shown["FB"], strict=True)]
    assert 150 < strategies.count("forward") < 250
    assert set(strategies) == {"forward", "backward"}
    both = zip(shown["F"], shown["B"], shown["FB"], strict=True)
    assert all(text in (forward, backward) for forward, backward, text in both)
    assert all(text.startswith("forward") for text in shown["F"])
    assert demonstrations(TASK, problems[100:], "FB", seed=0) == shown["FB"][100:]
    assert demonstrations(TASK, problems, "FB", seed=1) != shown["FB"]
    with pytest.raises(StratagemError, match="--strategy FF: must be one of F, B, FB"):
        demonstrations(TASK, problems, "FF")


class Rotated:
    """A toy: forward, but the first operation is left for the end."""

    NAME, OPENING, OPERATORS = "rotated", "rotated", "+*"

    def path(self, chain):
        steps = (*chain.steps[1:], chain.steps[0])
        states = [chain.states[0]]
        for step in steps:
            states.append(TASK.apply(states[-1], step, chain.residues))
        return Path(steps, tuple(states), given=chain.kind == EVALUATION)

    def demonstrate(self, task, chain):
        return write(task, self.OPENING, self.path(chain))


def test_a_third_strategy_needs_one_line():
    three = {**STRATEGIES, "rotated": Rotated()}
    for problem in TASK.generate("eval", 200, (3, 9)):
        for name, strategy in three.items():
            text = strategy.demonstrate(TASK, problem.data)
            found = label(TASK, problem, text, strategies=three)
            assert (found.strategy, found.error) == (name, None), (problem.prompt, text, found)
            without_opening = text.split(maxsplit=1)[1]
            assert strategy_of(without_opening, problem, strategies=three) == name
        assert strategy_of(three["rotated"].demonstrate(TASK, problem.data), problem) in (MIXED, "forward")


def test_one_strategy_alone_is_recognised():
    only = {"forward": STRATEGIES["forward"]}
    assert strategy_of("forward e9 #3 +e2 e3 #4 *e9 e6 ; answer e6", strategies=only) == "forward"
    assert strategy_of("answer e6", strategies=only) == OTHER
