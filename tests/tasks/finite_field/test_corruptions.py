"""Each kind of mistake, put into a gold response, is named as that kind, in the right step and span.

A corrupted response goes on consistently after its mistake, so that there is only one. The words "guess" and
"last" are not judged: whichever stands before a state or is missing, the label is that of the state alone.
"""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from stratagem.records import Problem
from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field.chain import KINDS, Step
from stratagem.tasks.finite_field.field import STRATEGIES
from stratagem.tasks.finite_field.recognise import (
    ARITHMETIC_FACT,
    CARRIED_STATE,
    ERRORS,
    GUESSED_START,
    OPERAND_LOOKUP,
    ORDER,
    STOPPING,
)


@dataclass(frozen=True)
class Draft:
    """A response before it is written: the steps as written and the state after each."""

    task: FiniteField
    problem: Problem
    opening: str
    given: bool
    first: int
    steps: tuple[Step, ...]
    states: tuple[int, ...]

    @property
    def n(self):
        return len(self.steps)

    def before(self, k):
        return self.first if k == 0 else self.states[k - 1]

    def applied(self, state, step):
        return self.task.apply(state, step, self.problem.data.residues)

    def continued(self, steps, states):
        """With these steps, and states worked out from where `states` ends."""
        states = list(states)
        for step in steps[len(states) :]:
            states.append(self.applied(states[-1] if states else self.first, step))
        return replace(self, steps=tuple(steps), states=tuple(states))

    @property
    def head(self):
        """The words before the first step: a state that the problem does not give is called a guess."""
        return [self.opening, *([] if self.given else ["guess"]), self.task.symbol(self.first)]

    def at(self, k):
        """The index of step k's label among the words of the text."""
        return len(self.head) + 3 * k

    @property
    def final(self):
        """The words that the answer is led in by."""
        return ["answer", "last" if self.given else "guess"]

    def words(self, k):
        step, symbol = self.steps[k], self.task.symbol
        return [f"#{step.label}", self.task.word(step), symbol(self.states[k])]

    def text(self, answer=None):
        final = (self.states[-1] if self.given else self.first) if answer is None else answer
        steps = [word for k in range(self.n) for word in self.words(k)]
        return " ".join([*self.head, *steps, ";", *self.final, self.task.symbol(final)])


def draft(task, problem, strategy):
    (path,) = strategy.path(problem.data).walks
    return Draft(task, problem, strategy.OPENING, path.given, path.states[0], path.steps, path.states[1:])


def other(rng, p, *taken):
    """A symbol index that is none of these."""
    return int(rng.choice([i for i in range(p) if i not in taken]))


# -- the corruptions: (draft, rng) -> (text, step, the wrong part, what should stand there) or None ---------


def other_operand(gold, rng):
    k = int(rng.integers(gold.n))
    step = gold.steps[k]
    zero = gold.problem.data.residues.index(0)
    wrong = replace(step, operand=other(rng, gold.task.p, step.operand, zero))
    altered = gold.continued((*gold.steps[:k], wrong, *gold.steps[k + 1 :]), gold.states[:k])
    return altered.text(), k, gold.task.word(wrong), gold.task.word(step)


def other_sign(gold, rng):
    """Undone where it should not be, or the reverse. In a chain of one step that is another strategy."""
    k = int(rng.integers(gold.n))
    wrong = gold.steps[k].undone()
    if gold.n == 1:
        return None
    altered = gold.continued((*gold.steps[:k], wrong, *gold.steps[k + 1 :]), gold.states[:k])
    return altered.text(), k, gold.task.word(wrong), gold.task.word(gold.steps[k])


def no_operation(gold, rng):
    k = int(rng.integers(gold.n))
    if gold.n == 1:
        return None
    word = gold.task.word(gold.steps[k])
    text = gold.text().replace(f"#{gold.steps[k].label} {word}", f"#{gold.steps[k].label}")
    return text, k, "", word


def wrong_fact(gold, rng):
    k = int(rng.integers(gold.n))
    earlier = [gold.applied(gold.before(k - 1), gold.steps[k])] if k else []
    state = other(rng, gold.task.p, gold.states[k], gold.before(k), *earlier)
    altered = gold.continued(gold.steps, (*gold.states[:k], state))
    return altered.text(), k, gold.task.symbol(state), gold.task.symbol(gold.states[k])


def not_of_the_field(gold, rng):
    _, step, _, expected = wrong_fact(gold, rng)
    words = gold.text().split()
    words[gold.at(step) + 2] = gold.task.symbol(gold.task.p)
    return (" ".join(words), step, gold.task.symbol(gold.task.p), expected) if step < gold.n - 1 else None


def not_applied(gold, rng):
    k = int(rng.integers(gold.n))
    if gold.before(k) == gold.states[k]:
        return None
    altered = gold.continued(gold.steps, (*gold.states[:k], gold.before(k)))
    return altered.text(), k, gold.task.symbol(gold.before(k)), gold.task.symbol(gold.states[k])


def applied_to_an_earlier_state(gold, rng):
    k = int(rng.integers(gold.n))
    if k == 0:
        return None
    state = gold.applied(gold.before(k - 1), gold.steps[k])
    if state == gold.states[k]:
        return None
    altered = gold.continued(gold.steps, (*gold.states[:k], state))
    return altered.text(), k, gold.task.symbol(state), gold.task.symbol(gold.states[k])


def no_state(gold, rng):
    k = int(rng.integers(gold.n))
    words = gold.text().split()
    del words[gold.at(k) + 2]
    return " ".join(words), k, "", gold.task.symbol(gold.states[k])


def wrong_first_state(gold, rng):
    if not gold.given:
        return None
    wrong = other(rng, gold.task.p, gold.first)
    altered = replace(gold, first=wrong).continued(gold.steps, ())
    return altered.text(), 0, gold.task.symbol(wrong), gold.task.symbol(gold.first)


def wrong_answer(gold, rng):
    right = gold.states[-1] if gold.given else gold.first
    wrong = other(rng, gold.task.p, right)
    symbol = gold.task.symbol
    return gold.text(wrong), gold.n, " ".join([*gold.final, symbol(wrong)]), symbol(right)


def wrong_guess(gold, rng):
    if gold.given:
        return None
    wrong = other(rng, gold.task.p, gold.first)
    altered = replace(gold, first=wrong).continued(gold.steps, ())
    return altered.text(), 0, gold.task.symbol(wrong), gold.task.symbol(gold.first)


def skipped(gold, rng):
    if gold.n == 1:
        return None
    k = int(rng.integers(gold.n - 1))
    altered = gold.continued((*gold.steps[:k], *gold.steps[k + 1 :]), gold.states[:k])
    return altered.text(), k, f"#{gold.steps[k + 1].label}", f"#{gold.steps[k].label}"


def repeated(gold, rng):
    if gold.n == 1:
        return None
    k = int(rng.integers(gold.n - 1))
    altered = gold.continued((*gold.steps[: k + 1], *gold.steps[k:]), gold.states[: k + 1])
    return altered.text(), k + 1, f"#{gold.steps[k].label}", f"#{gold.steps[k + 1].label}"


def unknown_label(gold, rng):
    k = int(rng.integers(gold.n))
    words = gold.text().split()
    words[gold.at(k)] = "#99"
    return " ".join(words), k, "#99", f"#{gold.steps[k].label}"


def stops_early(gold, rng):
    if gold.n == 1:
        return None
    k = int(rng.integers(1, gold.n))
    altered = replace(gold, steps=gold.steps[:k], states=gold.states[:k])
    return altered.text(), k, " ".join(altered.text().split()[-3:]), " ".join(gold.words(k)[:2])


def goes_on(gold, rng):
    k = int(rng.integers(gold.n))
    altered = gold.continued((*gold.steps, gold.steps[k]), gold.states)
    return altered.text(), gold.n, " ".join(altered.words(gold.n)), gold.text()[gold.text().index(";") :]


def no_answer(gold, rng):
    text = gold.text()
    end = text.index(";")
    return text[:end], gold.n, "", text[end:]


CORRUPTIONS = {
    OPERAND_LOOKUP: (other_operand, other_sign, no_operation),
    ARITHMETIC_FACT: (wrong_fact, not_of_the_field),
    ORDER: (skipped, repeated, unknown_label),
    CARRIED_STATE: (not_applied, applied_to_an_earlier_state, no_state, wrong_first_state, wrong_answer),
    GUESSED_START: (wrong_guess,),
    STOPPING: (stops_early, goes_on, no_answer),
}
EACH_CORRUPTION = pytest.mark.parametrize(
    ("kind", "corrupt"),
    [(kind, corrupt) for kind, all_of_it in CORRUPTIONS.items() for corrupt in all_of_it],
    ids=lambda value: getattr(value, "__name__", ""),
)


def drafts(rng, strategy, count):
    """Gold drafts over both fields, ways to relabel and kinds, of 1 to 9 steps."""
    for i in range(count):
        task = FiniteField((11, 13)[i % 2], ("study", "problem")[i // 2 % 2])
        problem = task.problem(KINDS[i // 4 % 2], 1 + i // 8 % 9, rng)
        yield draft(task, problem, STRATEGIES[strategy])


def test_every_kind_is_covered():
    assert tuple(CORRUPTIONS) == ERRORS


@pytest.mark.parametrize("strategy", STRATEGIES)
@EACH_CORRUPTION
def test_named_in_the_right_step(strategy, kind, corrupt):
    rng = np.random.default_rng([ERRORS.index(kind), len(strategy)])
    done = 0
    for gold in drafts(rng, strategy, 360):
        task, problem = gold.task, gold.problem
        assert gold.text() == STRATEGIES[strategy].demonstrate(task, problem.data)
        corruption = corrupt(gold, rng)
        if corruption is None:
            continue
        text, step, wrong, expected = corruption
        label = task.label(problem, text)
        shown = (problem.prompt, text, label)
        assert (label.strategy, label.error, label.step) == (strategy, kind, step), shown
        first = next(mark for mark in label.marks if mark.error == kind)
        assert (text[first.start : first.end], first.expected) == (wrong, expected), shown
        assert all(mark.error is None for mark in label.marks if mark.start < first.start), shown
        if corrupt in (skipped, repeated):  # the path is taken up again
            assert [mark.error for mark in label.marks if mark.error] == [ORDER], shown
        answered = text.split()[-1] if "answer" in text else None
        assert task.verify(problem, text) == (answered == problem.answer), shown
        assert json.loads(label.evidence())["error"] == kind
        done += 1
    assert done > 50


WORDS = ("guess", "last")


def reworded(gold, text, first, final):
    """The text with these words, or none, before its first state and before its answer; no state is touched."""
    words = text.split()
    assert words[: len(gold.head) - 1] == gold.head[:-1]
    words[1 : len(gold.head) - 1] = first
    if "answer" in words:
        at = words.index("answer")
        assert words[at : at + 2] == gold.final
        words[at + 1 : at + 2] = final
    return " ".join(words)


def judged(task, problem, text):
    """Score and label, with marks by what they say and by the states in them instead of by place."""
    label = task.label(problem, text)
    marks = [
        (mark.error, mark.expected, [w for w in text[mark.start : mark.end].split() if w not in WORDS])
        for mark in label.marks
    ]
    return task.verify(problem, text), label.strategy, label.error, label.step, marks


def correct(gold, rng):
    return gold.text(), None, None, None


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "corrupt", [correct, *(corrupt for every in CORRUPTIONS.values() for corrupt in every)]
)
def test_the_words_guess_and_last_are_not_judged(strategy, corrupt):
    """Not where all else is right, and not on top of any mistake: the symbol alone decides."""
    rng = np.random.default_rng([4, len(strategy)])
    done = 0
    for gold in drafts(rng, strategy, 72):
        corruption = corrupt(gold, rng)
        if corruption is None:
            continue
        text = corruption[0]
        expected = judged(gold.task, gold.problem, text)
        if corrupt is correct:
            assert expected[:4] == (1, strategy, None, None)
        for first in ([], ["guess"], ["last"]):
            for final in ([], ["guess"], ["last"]):
                other_words = reworded(gold, text, first, final)
                assert judged(gold.task, gold.problem, other_words) == expected, (text, other_words)
                done += other_words != text
    assert done > 100


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_answer_of_the_wrong_end_is_wrong_by_its_symbol(strategy):
    """Where the last state is answered instead of the guess, or the reverse, whatever it is called."""
    rng = np.random.default_rng([5, len(strategy)])
    done = 0
    for gold in drafts(rng, strategy, 200):
        right, wrong = gold.states[-1], gold.first
        if not gold.given:
            right, wrong = wrong, right
        if right == wrong:
            continue
        for word in WORDS:
            text = reworded(gold, gold.text(wrong), gold.head[1:-1], [word])
            label = gold.task.label(gold.problem, text)
            assert (label.strategy, label.error, label.step) == (strategy, CARRIED_STATE, gold.n)
            mark = label.marks[-1]
            symbol = gold.task.symbol
            assert text[mark.start : mark.end] == f"answer {word} {symbol(wrong)}"
            assert mark.expected == symbol(right)
            assert gold.task.verify(gold.problem, text) == 0
            done += 1
    assert done > 200


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_mistake_is_counted_once(strategy):
    """What follows a wrong state is judged by that state."""
    rng = np.random.default_rng(1)
    task = FiniteField(11)
    for _ in range(100):
        problem = task.problem("evaluation" if strategy == "forward" else "inversion", 6, rng)
        text, step, _, _ = wrong_fact(draft(task, problem, STRATEGIES[strategy]), rng)
        errors = [mark.error for mark in task.label(problem, text).marks]
        assert errors == [None, *([None] * step), ARITHMETIC_FACT, *([None] * (5 - step)), None]
        assert task.verify(problem, text) == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_wrong_guess_is_the_error_only_where_nothing_else_is(strategy):
    rng = np.random.default_rng(2)
    task = FiniteField(11)
    for _ in range(50):
        problem = task.problem("inversion" if strategy == "forward" else "evaluation", 5, rng)
        gold = draft(task, problem, STRATEGIES[strategy])
        guessed = replace(gold, first=other(rng, 11, gold.first)).continued(gold.steps, ())
        text, step, _, _ = wrong_fact(guessed, rng)
        label = task.label(problem, text)
        assert (label.strategy, label.error, label.step) == (strategy, ARITHMETIC_FACT, step)
        assert label.marks[0].error == GUESSED_START


@pytest.mark.parametrize("relabel", ["study", "problem"])
def test_a_random_wrong_state_is_seldom_taken_for_a_carried_one(relabel):
    """The measured error of the rule: at most 2 of the p - 1 wrong states can be explained by chance."""
    rng = np.random.default_rng(3)
    task = FiniteField(11, relabel)
    kinds = []
    for _ in range(400):
        problem = task.problem("evaluation", 8, rng)
        gold = draft(task, problem, STRATEGIES["forward"])
        k = int(rng.integers(8))
        wrong = gold.continued(gold.steps, (*gold.states[:k], other(rng, 11, gold.states[k])))
        kinds.append(task.label(problem, wrong.text()).error)
    assert set(kinds) == {ARITHMETIC_FACT, CARRIED_STATE}
    assert kinds.count(CARRIED_STATE) / len(kinds) < 0.25
