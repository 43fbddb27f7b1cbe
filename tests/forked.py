"""Commands that run in forks of one process that has imported what they need, which takes longer than most of them do.

As a program it reads lines of JSON, `[folder, words, environment, seconds, file of output, file of errors]`, runs
`stratagem WORDS` there, for so many seconds at most, and answers with the exit code.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[1]
# What the commands import. That each of them imports no more than it needs is for other tests to see.
MODULES = (
    "stratagem.commands.train",
    "stratagem.commands.study",
    "stratagem.commands.lens",
    "stratagem.training.grpo",
)
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error", "COLUMNS": "100"}


@contextmanager
def server(module: str, *words: str, **environment: str) -> Iterator[Callable[[Any], Any]]:
    """A function that asks a program which reads lines of JSON, and gives its answer."""
    program = subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    asked, answered = program.stdin, program.stdout

    def ask(request: Any) -> Any:
        print(json.dumps(request), file=asked, flush=True)
        return json.loads(answered.readline())

    with program:
        yield ask
        asked.close()


class Command(Protocol):
    def __call__(
        self, folder: Path, words: Sequence[str], outputs: Path, timeout: int
    ) -> subprocess.CompletedProcess[str]:
        """Run `stratagem WORDS` in `folder`; what it prints goes through files in `outputs`.

        Raises:
            subprocess.TimeoutExpired: after so many seconds.
        """
        ...


@contextmanager
def commands(**environment: str) -> Iterator[Command]:
    """A function that runs a command to its end, in an environment with these variables."""
    environment = ENVIRONMENT | environment
    with server("tests.forked", **environment) as ask:

        def command(
            folder: Path, words: Sequence[str], outputs: Path, timeout: int
        ) -> subprocess.CompletedProcess[str]:
            output, errors = outputs / "stdout", outputs / "stderr"
            code = ask([str(folder), words, os.environ | environment, timeout, str(output), str(errors)])
            if code == -signal.SIGALRM:
                raise subprocess.TimeoutExpired(list(words), timeout, output.read_text(), errors.read_text())
            return subprocess.CompletedProcess(words, code, output.read_text(), errors.read_text())

        yield command


def main() -> None:
    from stratagem.cli import run

    for module in MODULES if importlib.util.find_spec("torch") else ():
        importlib.import_module(module)
    gc.freeze()  # else a child that collects copies every page
    for line in sys.stdin:
        folder, words, environment, seconds, output, errors = json.loads(line)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads, that newer Pythons give: none of ours is at work
            child = os.fork()
        if child == 0:
            signal.alarm(seconds)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number, name in ((1, output), (2, errors)):
                os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            sys.argv = ["stratagem", *words]
            try:
                code: object = run(words)
            except SystemExit as end:
                code = end.code
            except BaseException:
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            # To take all that was imported apart takes longer than most commands.
            os._exit(code if isinstance(code, int) else int(code is not None))
        print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])), flush=True)


if __name__ == "__main__":
    main()
