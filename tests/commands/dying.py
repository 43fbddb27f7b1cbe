"""Commands that die in place of a step of what they do to files. Each is a fork of one process that has imported what
they need, which takes longer than they do.

As a program it reads lines of JSON, `[step, words]`, and answers each with the exit code of the command and the number
of steps that it came to.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.forked import server

LAST = 10**6  # no command has as many steps
STEPS = ("mkdir", "fsync", "replace", "unlink", "rmdir")
Dying = Callable[[int, list[str]], tuple[int, int]]


@contextlib.contextmanager
def forks(cwd: Path, *modules: str) -> Iterator[Dying]:
    """A function that runs a command in `cwd` until the step of a number, counted from 0, and gives its exit code and
    how many steps it took. A step makes or opens a file to write, makes a folder, syncs, renames or removes.

    Args:
        modules: are imported once for all commands.
    """
    with server("tests.commands.dying", str(cwd), *modules, OMP_NUM_THREADS="1") as ask:

        def dying(step: int, words: list[str]) -> tuple[int, int]:
            code, steps = ask([step, words])
            return code, steps

        yield dying


def die_at(step: int, count: int) -> None:
    """Kill this process in place of a step from now on; each that is taken is a byte in the file `count`."""
    left = step
    home = os.getcwd()

    def take() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        os.write(count, b".")

    def ours(path: object) -> bool:
        """Whether it is no cache of a library, which may be written once only."""
        return isinstance(path, int) or os.path.abspath(os.fsdecode(path)).startswith(home)  # type: ignore[arg-type]

    def before(call: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*given: Any, **named: Any) -> Any:
            if ours(given[0]):
                take()
            return call(*given, **named)

        return stepped

    def opened(event: str, given: tuple[Any, ...]) -> None:
        made = event == "open" and isinstance(given[0], str) and given[2] & (os.O_CREAT | os.O_TRUNC)
        if made and ours(given[0]):
            take()

    for name in STEPS:
        setattr(os, name, before(getattr(os, name)))
    sys.addaudithook(opened)


def main(cwd: str, *modules: str) -> None:
    from stratagem.cli import run

    for module in modules:
        importlib.import_module(module)
    os.chdir(cwd)
    for line in sys.stdin:
        step, words = json.loads(line)
        reading, count = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            die_at(step, count)
            os._exit(run(words))
        os.close(count)
        with open(reading, "rb") as steps:
            taken = len(steps.read())
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), taken]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
