"""Run a command that ends when whoever started it ends: `python -m stratagem.studies.executors.guard COMMAND…`.

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


def main(line: list[str]) -> int:
    """The command's exit code; where a signal killed it, 128 and the signal's number, as shells have it."""
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
    return 128 - child.returncode if child.returncode < 0 else child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
