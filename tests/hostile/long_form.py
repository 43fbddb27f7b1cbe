"""The long form of the hostile suite: inputs by number, each through the command line in this process.

`python -m tests.hostile.long_form --inputs 20000` runs and counts them; `--first N --inputs 1` runs one again.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from rich.progress import track

from stratagem import cli
from stratagem.commands import common, lens
from tests.hostile.command_inputs import COMMANDS
from tests.hostile.forms import Found
from tests.hostile.inputs import KINDS, LOG, Input

SECONDS = 20  # of the processor, for one input
REFUSED, INTERRUPTED = 2, 130
STEP = 100  # inputs between two lines of progress


ALL = {**KINDS, **COMMANDS}


def make(number: int, folder: Path) -> Input:
    """The input of a number, written into a folder."""
    rng = random.Random(number)
    (kind,) = rng.choices(list(ALL), weights=[weight for weight, _ in ALL.values()])
    return ALL[kind][1](rng, folder / LOG)


class Wrong(AssertionError):
    """What may not be."""


@contextlib.contextmanager
def limit(seconds: int) -> Iterator[None]:
    """An exception after so many seconds of the processor, since machines are shared; the end of the process after
    twenty times as many on the clock, for what waits or does not come back to Python."""

    def ended(*_: Any) -> None:
        raise Wrong(f"not done in {seconds} s")

    before = signal.signal(signal.SIGPROF, ended)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    faulthandler.dump_traceback_later(20 * seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def words_read_once() -> Iterator[None]:
    """Most inputs have the same words, which take longer to read than the logs."""

    @lru_cache(maxsize=100)
    def cached(options: Any, name: str, words: tuple[str, ...], text: str) -> Any:
        return common.read(options, name, list(words), text)

    before = lens.read
    lens.read = lambda options, name, words, text: cached(options, name, tuple(words), text)
    try:
        yield
    finally:
        lens.read = before


def outcome(given: Input) -> str:
    """What a command came to, in the current folder: read, answered (with nothing to check it by) or refused.

    Raises:
        Wrong: a traceback, two lines, a wrong number, a refusal of what a plain reader can read.
    """
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), limit(SECONDS):
        code = cli.run([*given.words, "--json"])
    if code == INTERRUPTED:  # the command took it for its own
        raise KeyboardInterrupt
    if code == REFUSED:
        check_line(error.getvalue(), given)
        if given.found is not None:
            check_refusal(error.getvalue(), given.found)
        return "refused"
    if code and "--fail-if" not in given.words:
        raise Wrong(f"exit code {code}: {error.getvalue()}")
    result = json.loads(out.getvalue())
    if given.found is not None:
        CHECKS[given.words[0]](result, given)
        return "read"
    if given.most is not None and given.words[0] == "rollouts" and result["logs"][0]["rows"] > given.most:
        raise Wrong(f"{result['logs'][0]['rows']} rows, at most {given.most} were there")
    return "answered"


def check_line(said: str, given: Input) -> None:
    if len(said.rstrip("\n").split("\n")) != 1 or "Traceback" in said:
        raise Wrong(f"not one line: {said}")
    if not any(name in said for name in given.named):
        raise Wrong(f"names none of {given.named}: {said}")


def check_refusal(said: str, found: Found) -> None:
    """A log of which most is whole has to be read, unless what a command needs of it is not there."""
    of_ids: dict[str | None, set[str | None]] = {}
    for row in found.rows:
        of_ids.setdefault(row.id, set()).add(row.prompt)
    scores = [row.score for row in found.rows if row.score is not None]
    allowed = len(found.rows) <= found.bad
    allowed |= "stand for several prompts" in said and any(len(prompts) > 1 for prompts in of_ids.values())
    allowed |= "outside [0, 1]" in said and not all(0 <= score <= 1 for score in scores)
    allowed |= "are fractions" in said and any(score % 1 for score in scores)
    allowed |= "no response has a score" in said and not scores
    if not allowed:
        raise Wrong(f"{len(found.rows)} rows are whole, {found.bad} are not: {said}")


def check_survey(result: dict[str, Any], given: Input) -> None:
    found = given.found
    assert found is not None
    (log,) = result["logs"]
    problems = Counter(row.problem for row in found.rows)
    scores = [row.score for row in found.rows if row.score is not None]
    expected = {
        "rows": len(found.rows),
        "left_out": found.bad,
        "problems": len(problems),
        "samples": [min(problems.values()), max(problems.values())] if problems else None,
    }
    seen = {
        "rows": log["rows"],
        "left_out": sum(log["left_out"].values()),
        "problems": log["problems"] or 0,
        "samples": log["samples"] and [log["samples"]["min"], log["samples"]["max"]],
    }
    if given.graded:
        expected["scores"] = [[min(scores), max(scores)]] if scores else []
        seen["scores"] = list(log["scores"].values())
    if seen != expected:
        raise Wrong(f"{seen}, but a plain reader finds {expected}")


def by_problem(found: Found) -> dict[Any, float]:
    """The share of right responses to each problem that has a score."""
    scores: dict[Any, list[float]] = {}
    for row in found.rows:
        if row.score is not None:
            scores.setdefault(row.problem, []).append(row.score)
    return {problem: sum(held) / len(held) for problem, held in scores.items()}


def check_passk(result: dict[str, Any], given: Input) -> None:
    """pass@1 is the mean over problems of their share of right responses."""
    assert given.found is not None
    shares = by_problem(given.found).values()
    near("pass@1", result["passk"][0]["before"]["value"], sum(shares) / max(len(shares), 1))


def check_gain(result: dict[str, Any], given: Input) -> None:
    """The gain is the mean over problems of both logs of the difference of their shares of right responses."""
    assert given.found is not None
    assert given.after is not None
    before, after = by_problem(given.found), by_problem(given.after)
    gains = [after[problem] - share for problem, share in before.items() if problem in after]
    near("problems", result["problems"], len(gains))
    near("gain", result["gain"]["value"], sum(gains) / max(len(gains), 1))


def near(name: str, seen: float, expected: float) -> None:
    if abs(seen - expected) > 1e-6:
        raise Wrong(f"{name} {seen}, but a plain reader finds {expected}")


CHECKS: dict[str, Callable[[dict[str, Any], Input], None]] = {
    "rollouts": check_survey,
    "passk": check_passk,
    "diagnose": check_gain,
}


def run(numbers: range, folder: Path) -> tuple[Counter[tuple[str, str]], list[tuple[int, str]]]:
    """The outcomes of inputs by kind, and what was wrong by number."""
    counts: Counter[tuple[str, str]] = Counter()
    faults: list[tuple[int, str]] = []
    home = Path.cwd()
    importlib.import_module("stratagem.studies.run")  # with torch, which takes longer than an input may
    with words_read_once():
        for number in numbers:
            here = folder / str(number)
            here.mkdir()
            kind = "?"
            try:
                given = make(number, here)
                kind = given.kind
                os.chdir(here)
                came = outcome(given)
            except KeyboardInterrupt:
                raise
            except BaseException as fault:
                last = traceback.format_exc() if not isinstance(fault, Wrong) else ""
                faults.append((number, f"{kind}: {type(fault).__name__}: {fault}\n{last}"))
                came = "wrong"
            finally:
                os.chdir(home)
                shutil.rmtree(here)
            counts[kind, came] += 1
    return counts, faults


def table(counts: Counter[tuple[str, str]]) -> str:
    outcomes = ["read", "answered", "refused", "wrong"]
    kinds = sorted({kind for kind, _ in counts})
    lines = [f"{'kind':<28}" + "".join(f"{name:>10}" for name in outcomes)]
    lines += [f"{kind:<28}" + "".join(f"{counts[kind, name]:>10,}" for name in outcomes) for kind in kinds]
    sums = [sum(counts[kind, name] for kind in kinds) for name in outcomes]
    return "\n".join([*lines, f"{f'all {sum(sums):,}':<28}" + "".join(f"{total:>10,}" for total in sums)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=20_000)
    given = parser.parse_args()
    warnings.simplefilter("error")
    counts: Counter[tuple[str, str]] = Counter()
    wrong, start, end = 0, time.monotonic(), given.first + given.inputs
    starts = range(given.first, end, STEP)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.suppress(KeyboardInterrupt),
    ):  # then what there is counts
        for first in track(starts, f"{STEP} inputs each", disable=not sys.stderr.isatty()):
            some, faults = run(range(first, min(first + STEP, end)), Path(folder))
            counts += some
            wrong += len(faults)
            for number, fault in faults:
                print(f"{number}: {fault}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{table(counts)}\n{time.monotonic() - start:.0f} s, {time.process_time():.0f} s of the processor, {peak} MiB"
    )
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
