"""The task: exact arithmetic, disjoint splits, stable content, strict settings."""

import json
from pathlib import Path
from types import SimpleNamespace

import galois
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.records import StratagemError
from stratagem.tasks import TASKS, FiniteField
from stratagem.tasks.base import SPLITS
from stratagem.tasks.finite_field.chain import LABELS, MAX_STEPS, Chain, Step
from stratagem.tasks.finite_field.field import PRIMES, STRATEGIES
from stratagem.tasks.finite_field.trace import parse

GOLDEN = Path(__file__).parents[2] / "golden" / "tasks_problems.json"
TASK = FiniteField(11)


def operations(problem):
    return " ".join(word for word in problem.prompt.split() if word[0] in "+*")


# -- arithmetic --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", PRIMES)
@pytest.mark.parametrize("relabel", ["study", "problem"])
def test_chains_agree_with_galois(p, relabel):
    task = FiniteField(p, relabel)
    field = galois.GF(p, compile="python-calculate")
    rng = np.random.default_rng(p)
    for n in (1, 4, MAX_STEPS):
        chain: Chain = task.problem("evaluation", n, rng).data
        assert sorted(chain.residues) == list(range(p))
        for step, before, after in zip(chain.steps, chain.states, chain.states[1:], strict=False):
            a, b = field(chain.residues[before]), field(chain.residues[step.operand])
            forwards, backwards = (a + b, a - b) if step.operator == "+" else (a * b, a / b)
            assert chain.residues[after] == forwards
            assert chain.residues[task.apply(before, step.undone(), chain.residues)] == backwards


@settings(deadline=None)
@given(st.data())
def test_undoing_undoes(data):
    p = data.draw(st.sampled_from(PRIMES))
    task = FiniteField(p)
    operator = data.draw(st.sampled_from("+-*/"))
    operands = [i for i in range(p) if operator in "+-" or task.residues[i] != 0]
    step = Step(0, operator, data.draw(st.sampled_from(operands)))
    state = data.draw(st.integers(0, p - 1))
    assert step.undone().undone() == step
    assert task.apply(task.apply(state, step), step.undone()) == state


def test_no_division_by_zero_and_no_unknown_operator():
    zero = TASK.residues.index(0)
    with pytest.raises(ValueError, match="not invertible"):
        TASK.apply(1, Step(0, "/", zero))
    with pytest.raises(ValueError, match="operator"):
        TASK.apply(1, Step(0, "^", 1))


# -- content -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row", json.loads(GOLDEN.read_text()), ids=lambda row: f"{row['p']}-{row['split']}-{row['index']}"
)
def test_golden_problems(row):
    """Also an end-to-end check by galois: see tests/golden/tasks_problems.py."""
    row = SimpleNamespace(**row)
    task = FiniteField(row.p, row.relabel)
    problem = task.generate(row.split, row.index + 1, (2, 5), seed=row.seed)[row.index]
    assert (problem.id, problem.prompt, problem.answer) == (row.id, row.prompt, row.answer)
    for name, strategy in STRATEGIES.items():
        assert strategy.demonstrate(task, problem.data) == vars(row)[name]


@pytest.mark.parametrize("relabel", ["study", "problem"])
def test_splits_are_disjoint_by_content(relabel):
    task = FiniteField(11, relabel)
    chains = {split: {operations(p) for p in task.generate(split, 300, (2, 5))} for split in SPLITS}
    for split in SPLITS:
        for other in SPLITS:
            assert split == other or not chains[split] & chains[other]


def test_neighbouring_seeds_and_indices_share_nothing():
    runs = [TASK.generate("rl", 200, (6, 9), seed=seed) for seed in range(4)]
    every = [operations(problem) for run in runs for problem in run]
    assert len(set(every)) == len(every)


def test_a_problem_does_not_depend_on_how_many_are_asked_for():
    assert TASK.generate("sft", 40, (2, 5))[:15] == TASK.generate("sft", 15, (2, 5))


def test_ids_are_content():
    problems = TASK.generate("sft", 500, (2, 3))
    assert len({problem.id for problem in problems}) == 500
    assert {p.id for p in TASK.generate("eval", 40, (2, 2))} <= {
        p.id for p in TASK.generate("eval", 80, (2, 2))
    }
    chain = problems[0].data
    assert TASK.as_problem(chain) == problems[0]
    assert FiniteField(11, "problem").as_problem(chain).id != problems[0].id


@pytest.mark.parametrize("relabel", ["study", "problem"])
@pytest.mark.parametrize("p", [2, 11, 13, 97])
def test_a_prompt_reads_back_as_its_problem(p, relabel):
    task = FiniteField(p, relabel)
    for problem in task.generate("eval", 40, (3, 9)):
        assert task.parse(problem.prompt) == problem


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "start e3 ; evaluate :",
        "start e3 ; #17 +e11 ; evaluate :",
        "start f3 ; #17 +e1 ; evaluate :",
        "result e3 ; #17 *e5 ; invert :",  # e5 is zero and cannot be undone
    ],
)
def test_other_texts_are_no_prompts(prompt):
    with pytest.raises(StratagemError, match="not a finite-field prompt"):
        TASK.parse(prompt)


def test_labels_count_up_within_range():
    for problem in TASK.generate("spare", 50, (1, MAX_STEPS)):
        labels = [step.label for step in problem.data.steps]
        assert labels == list(range(labels[0], labels[0] + problem.difficulty))
        assert labels[0] >= 0
        assert labels[-1] < LABELS


def test_kinds_and_lengths_are_dealt_evenly():
    problems = TASK.generate("eval", 80, (2, 5))
    cells = [(problem.kind, problem.difficulty) for problem in problems]
    assert {cell: cells.count(cell) for cell in cells} == {
        (kind, n): 10 for kind in ("evaluation", "inversion") for n in range(2, 6)
    }


@pytest.mark.parametrize(("weights", "evaluations"), [((75, 25), 75), ((0.9, 0.1), 90), ((1, 0), 100)])
def test_weights_set_the_mix(weights, evaluations):
    problems = TASK.generate("rl", 100, (2, 5), weights=weights)
    assert sum(problem.kind == "evaluation" for problem in problems) == evaluations


def test_relabelled_problems_state_their_symbols():
    problems = FiniteField(5, "problem").generate("eval", 30, (2, 4))
    for problem in problems:
        stated = [word.split("=") for word in problem.prompt.split() if "=" in word]
        assert [symbol for symbol, _ in stated] == [f"c{i}" for i in range(5)]
        assert tuple(int(residue) for _, residue in stated) == problem.data.residues
    assert len({problem.data.residues for problem in problems}) > 10


def test_smallest_field():
    task = FiniteField(2)
    assert {p.answer for p in task.generate("eval", 20, (5, 7))} == {"a0", "a1"}
    with pytest.raises(StratagemError, match="too few different problems"):
        task.generate("eval", 1000, (1, 1))


# -- settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [-3, 0, 1, 12, 91, 101])
def test_p_must_be_a_prime_to_97(p):
    with pytest.raises(StratagemError, match=f"p={p}: must be a prime to 97"):
        FiniteField(p)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "test"}, "split 'test'"),
        ({"size": 0}, "--size 0"),
        ({"steps": (0, 3)}, "--steps 0-3"),
        ({"steps": (4, 3)}, "--steps 4-3"),
        ({"steps": (3, MAX_STEPS + 1)}, "--steps 3-21"),
        ({"weights": (1,)}, "weights"),
        ({"weights": (2, -1)}, "weights"),
        ({"weights": (0, 0)}, "weights"),
        ({"kinds": ("evaluation", "guessing")}, "kind 'guessing'"),
    ],
)
def test_impossible_settings(changes, message):
    settings = {"split": "sft", "size": 4, "steps": (2, 3), **changes}
    with pytest.raises(StratagemError, match=message):
        TASK.generate(**settings)


def test_other_errors():
    with pytest.raises(StratagemError, match="relabel=never"):
        FiniteField(11, "never")
    with pytest.raises(StratagemError, match="steps 21"):
        TASK.problem("evaluation", 21, np.random.default_rng(0))
    assert TASKS["finite_field"] is FiniteField


def test_instruction_explains_the_symbols():
    assert "e0=7" in TASK.instruction()
    assert "=" not in FiniteField(11, "problem").instruction()
    assert "the state that you begin with" in TASK.instruction()


# -- verify ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("forward e1 #3 +e2 e6 ; answer e6", "e6"),
        ("Answer: E6.", "e6"),
        ("**Answer:** e6", "e6"),
        ("The final answer is **e6**.", "e6"),
        ("answer\n\n`e6`", "e6"),
        (r"so the answer is $\boxed{e6}$", "e6"),
        ("answer e1 . No: answer e6 !", "e6"),
        ("answer e6. I hope that this answer helps.", "e6"),
        ("answer e11", None),
        ("answer e6 answer e11", None),
        ("answer f6", None),
        ("answer *e6", None),
        ("answer ; e6", None),
        ("answer #6", None),
        ("answer e6x", None),
        ("answer 6", None),
        ("answers e6", None),
        ("e6", None),
        ("answer: e_6", "e6"),
        ("answer: $e_{6}$", "e6"),
        ("answer: e₆", "e6"),
        ("answer: [e6]", "e6"),
        ("answer: <e6>", "e6"),
        ("answer → e6", "e6"),
        ("; answer symbol e6", "e6"),
        ("Answer: ### e6", "e6"),
        ("Answer:\n\n### e6", "e6"),
        ("Answer: The result is e6", "e6"),
        ("Answer: the start of the chain is **e6**.", "e6"),
        ("The answer to the problem is e6.", "e6"),
        ("The answer to this inversion problem: e6", "e6"),
        (r"final answer: \boxed{\text{e6}}", "e6"),
        (r"The answer is $\mathrm{e}_{6}$", "e6"),
        ("The answer is e3 + e2 = e6.", "e6"),
        (r"The answer is $e_3 \times e_{10} = e_6$", "e6"),
        ("The answer is e3 + e2", None),
        ("The answer is not e6", None),
        ("To find the answer, start with e6", None),
        ("Before the answer we have e6", None),
        ("Answer: start e6 ; #3 +e2", None),
        ("Answer:\nStart: e6", None),
        ("Answer: forward e6 #3 +e2 e3", None),
        ("Answer: #3 e6", None),
        ("The answer to step 3 is e6", None),
        ("The answer depends on the state; that is e6", None),
        ("answer e6. The answer to the next step is e1", "e6"),
        (r"\boxed{e6}", None),
        ("answer", None),
        ("", None),
    ],
)
def test_the_last_answer_counts(completion, answer):
    assert TASK.answer_of(completion) == answer
    assert parse(completion).answer in (answer, *(["e11", "f6"] if answer is None else []))
    problem = next(p for p in TASK.generate("eval", 200, (2, 5)) if p.answer == "e6")
    assert TASK.verify(problem, completion) == float(answer == "e6")
