"""Run a command that ends when whoever started it ends: `python -m stratagem.studies.guard COMMAND…`.

A worker of a cluster may be killed at any moment; a training that it started must not go on beside the one that takes
its place. The command gets a process group of its own, which is killed whole.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import NoReturn

KILLED = "killed by signal"


def main(line: list[str]) -> int:
    """The command's exit code; where it was killed, a last line that says so and 1."""
    parent = os.getppid()

    def leave(*_: object) -> NoReturn:
        raise SystemExit(1)

    signal.signal(signal.SIGTERM, leave)
    with subprocess.Popen(line, start_new_session=True) as child:
        try:
            while child.poll() is None and os.getppid() == parent:
                time.sleep(0.2)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    if child.returncode < 0:
        stage = next((word for word in line if word in ("sft", "rl", "rollout")), "")
        print(f"stratagem {stage}: {KILLED} {-child.returncode} (out of memory?)", flush=True)
    return 1 if child.returncode < 0 else child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
