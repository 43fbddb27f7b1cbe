"""The command line: a static table of subcommands, each of which imports its own code only when called."""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

# name: (module, function, one line of help)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "reproduce": (
        "stratagem.commands.study",
        "reproduce",
        "Run a study of the paper, end to end, and write its report",
    ),
    "problems": (
        "stratagem.commands.data",
        "problems",
        "Generate problems; show or export them with gold demonstrations",
    ),
    "sft": (
        "stratagem.commands.train",
        "sft",
        "Fine-tune a model on demonstrations of one strategy or several",
    ),
    "rl": ("stratagem.commands.train", "rl", "Train a model further by GRPO with an outcome reward"),
    "rollout": (
        "stratagem.commands.train",
        "rollout",
        "Answer held-out problems, sampled and greedy, free or forced",
    ),
    "probe": (
        "stratagem.commands.train",
        "probe",
        "Answer them begun with each strategy in turn: what the model can do under it",
    ),
    "splice": (
        "stratagem.commands.splice",
        "splice",
        "Let one model open responses and another go on: selection and improvement by experiment",
    ),
    "label": ("stratagem.commands.data", "label", "Name the strategy and the first error of every response"),
    "decompose": (
        "stratagem.commands.data",
        "decompose",
        "Split a gain into selection, improvement and new strategies",
    ),
    "diagnose": (
        "stratagem.commands.lens",
        "diagnose",
        "Compare logs of rollouts before and after training: what changed, what to do next",
    ),
    "curate": (
        "stratagem.commands.curate",
        "curate",
        "Choose prompts for RL by their signal, or demonstrations for SFT by the strategies that they show",
    ),
    "rollouts": ("stratagem.commands.lens", "rollouts", "Show what logs of rollouts hold"),
    "passk": ("stratagem.commands.lens", "passk", "pass@k of a log, or of two and their difference"),
    "discover": (
        "stratagem.commands.discover",
        "discover",
        "Propose strategies that nobody has named yet, for a person to name",
    ),
    "annotate": (
        "stratagem.commands.annotate",
        "annotate",
        "Label responses by hand on a page in the browser; a model learns from them",
    ),
    "validate-labels": (
        "stratagem.commands.labels",
        "validate_labels",
        "Write a sheet to label by hand, or measure the labels by one",
    ),
    "report": ("stratagem.commands.study", "report", "Write the HTML report of a finished study again"),
    "watch": (
        "stratagem.commands.watch",
        "watch",
        "Show a run on a live page in the browser while it trains",
    ),
    "base": ("stratagem.commands.train", "base", "Train the small base model again"),
}
RESUMABLE = ("reproduce", "sft", "rl", "rollout", "probe", "splice", "base")


def usage() -> str:
    lines = [
        "Stratagem: did RL post-training select better strategies, or execute them better, and what to change next?",
        "",
        "usage: stratagem COMMAND [OPTIONS]      stratagem COMMAND --help",
        "",
        *(f"  {name:<15} {text}" for name, (_, _, text) in COMMANDS.items()),
        "",
        "Every command takes --json (its result as JSON on standard output) and --debug (a traceback on errors).",
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: list[str]) -> int:
    """Run one command; returns the exit code: 0, 1 where --fail-if holds, 2 for what a user can fix, 130 after an
    interrupt."""
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        from importlib import metadata

        print(f"stratagem {metadata.version('stratagem')}")
        return 0
    name, *rest = argv
    if name not in COMMANDS:
        from stratagem.conditions import near

        print(f"stratagem: no command {name!r}; {near(name, COMMANDS, 'command')}", file=sys.stderr)
        return 2
    debug, as_json = "--debug" in rest, "--json" in rest
    rest = [word for word in rest if word not in ("--debug", "--json")]
    return call(name, rest, as_json=as_json, debug=debug)


def one_line(text: str) -> str:
    """A message with what names and values may hold of line ends and of marks that a terminal obeys as escapes."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def silent() -> TextIO:
    return open(os.devnull, "w")


def call(name: str, rest: list[str], *, as_json: bool, debug: bool) -> int:
    # NumPy's products are small here, and read this when it is imported; threads only wait for one another.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Whoever closes standard output or error wants to see nothing of it.
    sys.stdout, sys.stderr = sys.stdout or silent(), sys.stderr or silent()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # of what it has no letters for
    try:
        os.getcwd()  # libraries need it, and some end the process where there is none
    except OSError:
        print("stratagem: the current folder is gone; change to another one", file=sys.stderr)
        return 2
    from stratagem.records import StratagemError

    module, function, text = COMMANDS[name]
    try:
        command: Callable[..., dict[str, Any]] = getattr(importlib.import_module(module), function)
        result = command(rest, f"{text}.", as_json)
        if as_json:
            print(json.dumps(result, allow_nan=False))
        sys.stdout.flush()
        return int(result.get("fail_if", {}).get("holds", False))
    except StratagemError as error:
        if debug:
            raise
        print(f"stratagem {name}: {one_line(str(error))}", file=sys.stderr)
        if place := os.environ.get("STRATAGEM_ERROR_FILE"):
            with open(place, "w") as file:
                file.write(str(error))
        return 2
    except ModuleNotFoundError as error:
        if debug or error.name not in ("torch", "transformers", "tokenizers", "safetensors"):
            raise
        print(f"stratagem {name}: needs {error.name}: pip install 'stratagem[lab]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if name in RESUMABLE:
            print(
                f"\nstopped; nothing is lost. To resume: stratagem {name} {' '.join(rest)}", file=sys.stderr
            )
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough; leave nothing to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if debug:
            raise
        where = f"{one_line(str(error.filename))[:200]}: " if error.filename else ""
        full = name in RESUMABLE and error.errno in (errno.ENOSPC, errno.EDQUOT)
        saved = "; what was saved is good: the same command goes on" if full else ""
        print(f"stratagem {name}: {where}{error.strerror or error}{saved}", file=sys.stderr)
        return 2
    return 0
