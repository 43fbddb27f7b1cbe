"""A tutorial of docs/ as something to run: its files, its edits and its commands, read from the Markdown.

A fenced block says in its first line what it is: ``python FILE`` and ``toml FILE`` are files, ``diff FILE`` replaces
lines with ``-`` by those with ``+`` (``diff NEW OLD`` in a copy of OLD), ``sh`` are commands. Blocks without a word are
output, which is not compared.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.forked import ENVIRONMENT, commands

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Numbers at toy size, enough to see that everything runs.
SMALL = {
    "size": 32,
    "updates": 2,
    "epochs": 1,
    "prompts": 32,
    "batch": 4,
    "group": 4,
    "samples": 2,
    "replicates": 1,
}
TIMEOUT = 900  # seconds of a command
NUMBER = re.compile(rf"(--|\b)({'|'.join(SMALL)})( = | )(\d+)")


@dataclass(frozen=True)
class Block:
    kind: str
    file: str
    source: str
    text: str


def blocks(page: str, heading: str) -> list[Block]:
    """The blocks of one section of a page, in order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    _, found, section = text.partition(f"\n## {heading}\n")
    assert found, f"{page} has no section {heading!r}"
    section = section.partition("\n## ")[0]
    return [Block(kind, file, source, body) for kind, file, source, body in BLOCK.findall(section)]


def small(text: str) -> str:
    """The text with every number of `SMALL` that is larger in its place."""

    def smaller(match: re.Match[str]) -> str:
        return f"{match[1]}{match[2]}{match[3]}{min(int(match[4]), SMALL[match[2]])}"

    return NUMBER.sub(smaller, text)


def edited(text: str, diff: str) -> str:
    """The text after the changes of a diff, each of whose runs of ``-`` lines, or context, stands in it once."""
    runs: list[tuple[list[str], list[str]]] = []
    for line in diff.splitlines():
        if not runs or (line[0] != "+" and runs[-1][1] != runs[-1][0]):
            runs.append(([], []))
        if line[0] in " -":
            runs[-1][0].append(line[1:])
        if line[0] in " +":
            runs[-1][1].append(line[1:])
    for before, after in runs:
        old, new = ("".join(f"{line}\n" for line in lines) for lines in (before, after))
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def tested(words: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | ENVIRONMENT | environment,
        timeout=TIMEOUT,
    )


def play(blocks: list[Block], folder: Path, *, toy: bool) -> dict[str, str]:
    """Do what a tutorial says in a folder, and return what each command printed, by its words.

    Args:
        folder: empty, or with a copy of the package under src/, which the commands then use.
        toy: at the sizes of `SMALL`.
    """
    package = folder / "src" if (folder / "src").is_dir() else ROOT / "src"
    environment = {"PYTHONPATH": str(package), "COLUMNS": "120"}
    printed: dict[str, str] = {}
    for block in blocks:
        text = small(block.text) if toy and block.kind in ("sh", "toml") else block.text
        if block.kind == "sh":
            with tempfile.TemporaryDirectory() as outputs, commands(**environment) as stratagem:
                for command in text.splitlines():
                    program, *words = shlex.split(command)
                    if program == "stratagem":
                        done = stratagem(folder, words, Path(outputs), TIMEOUT)
                    else:
                        assert program == "pytest", command
                        done = tested(words, folder, environment)
                    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
                    printed[command] = done.stdout + done.stderr
        elif block.kind == "diff":
            path = folder / block.file
            path.write_text(edited((folder / (block.source or block.file)).read_text(), text))
        else:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return printed
