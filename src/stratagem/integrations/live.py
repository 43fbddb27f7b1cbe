"""What a training run does to strategies, while it runs: counts of its updates and the gain split so far.

Free of any trainer and of torch: `integrations.trl` feeds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from stratagem.records import UNPARSED, Problem, StratagemError
from stratagem.tasks import TASKS, Task
from stratagem.tasks.table import parsed
from stratagem.watch.gain import DRAWS, WINDOW, as_numbers, split, split_same_problems

# From prompts, completions and why each ended ("stop" or "length") to one strategy each.
Labeller = Callable[[Sequence[str], Sequence[str], Sequence[str]], list[str]]


@dataclass(frozen=True, slots=True)
class Response:
    """One labelled response; `score` is in [0, 1], None where it has none. No two groups have the same name."""

    problem: str
    group: str
    stratum: tuple[str, ...]
    strategy: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Cell:
    """Responses of one problem by one strategy, and how many were right (a sum of scores)."""

    problem: str
    stratum: tuple[str, ...]
    strategy: str
    n: int
    right: float


class Measures:
    """Running measures of one run: of its training updates from the first one on, and of its evaluations.

    The gain of training is between the first and the last `window` updates that brought new responses, fewer early in
    the run so that the two never overlap: updates 1-5 against 6-10 after ten. It is split select first, as `decompose`
    does: over the problems that both answered where these are most, else stratum by stratum. ``lead`` is 1 where
    selection is larger, -1 where improvement is, 0 where that is open; ``order_dependent`` is 1 where improving first
    would say another. An evaluation is compared with the first one of its name, over the problems that both answered.

    Args:
        by: names of the columns that make a stratum.
        window: updates on each side of the comparison.
        draws: bootstrap draws of the intervals; 0 gives none.
    """

    def __init__(self, by: Sequence[str] = (), window: int = WINDOW, draws: int = DRAWS) -> None:
        if window < 1:
            raise StratagemError(f"window {window}: must be at least 1")
        self.by, self.window, self.draws = tuple(by), window, draws
        self.updates = 0
        self.responses = 0  # of training, those without a score too
        self.first: list[list[Cell]] = []
        self.last: list[list[Cell]] = []
        self.strategies: list[str] = []
        self.evaluated: dict[str, list[Cell]] = {}  # the first evaluation of each name
        self._step: int | None = None

    def add(self, responses: Sequence[Response], step: int) -> None:
        """Count one more batch of training. Batches of one step in a row are one update."""
        cells = cells_of(responses)
        self.responses += len(responses)
        again = self.updates > 0 and step == self._step
        if again:
            self.last[-1] = [*self.last[-1], *cells]
        else:
            self.updates += 1
            # Early on the second half of all updates is the later side, so twice the window is never needed.
            self.last = [*self.last, cells][-self.window :]
        if not again and len(self.first) < self.window:
            self.first.append(cells)
        elif again and len(self.first) == self.updates:
            self.first[-1] = self.last[-1]
        self._step = step
        self._name(cells)

    def of(self, responses: Sequence[Response]) -> dict[str, float]:
        """Shares, accuracies and what groups can teach, of all these responses together; finite numbers by name."""
        return measures_of(responses, self.strategies)

    def gain(self) -> dict[str, float]:
        """The gain from the first to the last updates, split; empty before the second update."""
        window = min(self.window, self.updates // 2)
        sides = [self.table(self.first[:window]), self.table(self.last[len(self.last) - window :])]
        if any(side.is_empty() for side in sides):
            return {}
        gain = split(*sides, by=self.by, rng=np.random.default_rng(self.updates), draws=self.draws)
        return {} if gain is None else as_numbers(gain)

    def evaluate(self, responses: Sequence[Response], name: str) -> dict[str, float]:
        """Measures of a whole evaluation, and its gain since the first one of this name."""
        cells = cells_of(responses)
        self._name(cells)
        measures = self.of(responses)
        if name not in self.evaluated:
            self.evaluated[name] = cells
            return measures
        sides = self.table([self.evaluated[name]]), self.table([cells])
        gain = split_same_problems(*sides, by=self.by, rng=np.random.default_rng(0), draws=self.draws)
        return measures | ({} if gain is None else as_numbers(gain))

    def _name(self, cells: Sequence[Cell]) -> None:
        self.strategies += sorted({cell.strategy for cell in cells} - set(self.strategies))

    def table(self, updates: Sequence[Sequence[Cell]]) -> pl.DataFrame:
        """The counts of some updates, as `decomposition` reads them."""
        rows = [(c.problem, *c.stratum, c.strategy, c.n, c.right) for update in updates for c in update]
        keys = ["problem_id", *(name for name in self.by if name != "problem_id"), "strategy"]
        schema = {name: pl.String() for name in keys} | {"n": pl.Int64(), "right": pl.Float64()}
        table = pl.DataFrame(rows, schema=schema, orient="row")
        return table.group_by(keys).agg(pl.col("n", "right").sum()).sort(keys)

    def state(self) -> dict[str, Any]:
        """Everything, JSON-ready; `restore` takes it back."""

        def plain(cells: Sequence[Cell]) -> list[Any]:
            return [[c.problem, list(c.stratum), c.strategy, c.n, c.right] for c in cells]

        return {
            "by": list(self.by),
            "updates": self.updates,
            "responses": self.responses,
            "step": self._step,
            "strategies": self.strategies,
            "first": [plain(cells) for cells in self.first],
            "last": [plain(cells) for cells in self.last],
            "evaluated": {name: plain(cells) for name, cells in self.evaluated.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, one of version 0.1 too.

        Raises:
            StratagemError: it was made with other strata.
        """
        if tuple(state["by"]) != self.by:
            raise StratagemError(
                f"the run was measured by {', '.join(state['by']) or 'nothing'}, now by "
                f"{', '.join(self.by) or 'nothing'}: give the same `by` again"
            )

        def cells(rows: list[Any]) -> list[Cell]:
            return [Cell(p, tuple(s), name, n, right) for p, s, name, n, right in rows]

        self.updates = int(state["updates"] if "updates" in state else state["batches"])
        self.responses = int(state.get("responses", 0))
        self._step, self.strategies = state.get("step"), list(state["strategies"])
        self.first = [cells(rows) for rows in state["first"]][: self.window]
        self.last = [cells(rows) for rows in state["last"]][-self.window :]
        self.evaluated = {name: cells(rows) for name, rows in state.get("evaluated", {}).items()}


def cells_of(responses: Sequence[Response]) -> list[Cell]:
    """The counts of some responses. Those without a score are left out."""
    n: Counter[tuple[str, tuple[str, ...], str]] = Counter()
    right: dict[tuple[str, tuple[str, ...], str], float] = {}
    for response in responses:
        if response.score is not None:
            cell = (response.problem, response.stratum, response.strategy)
            n[cell] += 1
            right[cell] = right.get(cell, 0.0) + response.score
    return [Cell(p, s, name, n[p, s, name], right[p, s, name]) for p, s, name in sorted(n)]


def measures_of(responses: Sequence[Response], strategies: Sequence[str]) -> dict[str, float]:
    """Shares and accuracies of some responses, and what their groups can teach.

    ``no_signal`` is the part of groups whose scores are all the same, so that their advantages are 0: among them
    ``all_right`` and ``all_wrong``. ``one_strategy`` is the part of groups that show one strategy alone: they cannot
    teach selection. ``left_out`` is the part of responses that have no score in [0, 1].
    """
    scored = [response for response in responses if response.score is not None]
    measures = {"left_out": 1 - len(scored) / max(1, len(responses))}
    if not scored:
        return measures
    by_strategy: dict[str, list[float]] = {name: [] for name in strategies}
    groups: dict[str, list[Response]] = {}
    for response in scored:
        by_strategy.setdefault(response.strategy, []).append(response.score or 0.0)
        groups.setdefault(response.group, []).append(response)
    for name, scores in by_strategy.items():
        measures[f"share/{name}"] = len(scores) / len(scored)
        if scores:
            measures[f"accuracy/{name}"] = sum(scores) / len(scores)
    measures["accuracy"] = sum(response.score or 0.0 for response in scored) / len(scored)
    same = [group for group in groups.values() if len({response.score for response in group}) == 1]
    measures["no_signal"] = len(same) / len(groups)
    measures["no_signal/all_right"] = sum(group[0].score == 1 for group in same) / len(groups)
    measures["no_signal/all_wrong"] = sum(group[0].score == 0 for group in same) / len(groups)
    measures["one_strategy"] = sum(
        len({response.strategy for response in group}) == 1 for group in groups.values()
    ) / len(groups)
    return measures


# -- who names the strategies ------------------------------------------------------------------------------


def labeller(strategies: str | Task | Callable[[str], str]) -> Labeller:
    """Who names the strategy of a response.

    Args:
        strategies: a task of this package or its name, for its own recogniser; the rules that
            `labelling.rules.read_rules` reads (``"math"``, ``"code"``, a TOML path, ``"module:function"``); or a
            function from a completion's text to a strategy's name.
    """
    if isinstance(strategies, Task) or strategies in TASKS:
        return recognised
    if isinstance(strategies, str):
        return by_rules(strategies)
    return lambda prompts, completions, finish: [str(strategies(text)) for text in completions]


def recognised(prompts: Sequence[str], completions: Sequence[str], finish: Sequence[str]) -> list[str]:
    """Strategies by a task's own recogniser. The problem is read from the last one that the prompt states."""
    problems: dict[str, tuple[Task, Problem]] = {}
    names: list[str] = []
    for prompt, completion, reason in zip(prompts, completions, finish, strict=True):
        if prompt not in problems:
            problems[prompt] = parsed(prompt)
        task, problem = problems[prompt]
        names.append(task.label(problem, completion, reason).strategy)
    return names


def by_rules(name: str) -> Labeller:
    """Strategies by a set of rules, read now, so that a mistake in them is met before training."""
    from stratagem.labelling.rules import label_frame, read_rules

    rules = read_rules(name)

    def labelled(prompts: Sequence[str], completions: Sequence[str], finish: Sequence[str]) -> list[str]:
        batch = pl.DataFrame(
            {"prompt": prompts, "question": prompts, "completion": completions, "finish_reason": finish},
            schema=dict.fromkeys(("prompt", "question", "completion", "finish_reason"), pl.String()),
        )
        return label_frame(batch, rules)["strategy"].fill_null(UNPARSED).to_list()

    return labelled
