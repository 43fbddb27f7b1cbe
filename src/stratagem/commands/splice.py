"""`splice`: selection and improvement by experiment, beside the split by accounting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table

from stratagem.commands.common import bars, console, read
from stratagem.commands.model_task import with_model_task
from stratagem.commands.train import Out, one_thread
from stratagem.records import Estimate
from stratagem.report.format import percent, signed
from stratagem.settings import RolloutConfig


@dataclass(frozen=True)
class Splice:
    """Examples:
    stratagem splice runs/FB runs/FB-hard --out runs/splice
    stratagem splice runs/FB runs/FB-hard --steps 2-5 --samples 16 --json --out runs/splice-short
    """

    config: RolloutConfig
    before: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="folder of the model before RL")]
    after: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="folder of the model after RL")]
    out: Out


def splice(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    words = with_model_task(words, [word for word in words if not word.startswith("-")])
    given = read(Splice, "splice", words, text)
    from stratagem.sampling import splice as stage

    one_thread()
    config = replace(given.config, greedy=False)
    with bars() as show:
        spliced = stage.splice(config, given.out, (given.before, given.after), show)
    if not as_json:
        table = Table(box=None)
        for title in ("opened by", "continued by", "accuracy in %", "by itself", "surprise"):
            table.add_column(title, no_wrap=True)
        for name, right in spliced.spliced.items():
            opener, other = name.split()
            alone = _interval(spliced.observed[opener]) if opener == other else ""
            table.add_row(opener, other, _interval(right), alone, f"{spliced.surprise[name]:.2f}")
        console().print(table)
        console().print("surprise: nats of the opening under the model that continues it", highlight=False)
        for side, difference in spliced.placebos.items():
            held = difference.low <= 0 <= difference.high
            said = "as it should be" if held else "which should be 0: the splices are not to be trusted"
            console().print(
                f"placebo, {side} spliced with itself: {_change(difference)} points, {said}", highlight=False
            )
        for what, by_experiment, accounted in (
            ("selection", spliced.selection, spliced.accounted_selection),
            ("improvement", spliced.improvement, spliced.accounted_improvement),
        ):
            console().print(
                f"{what}: {_change(by_experiment)} points by experiment, {_change(accounted)} by accounting",
                highlight=False,
            )
        console().print(f"[green]done[/green] {given.out}", highlight=False)
    return {"out": str(given.out), **spliced.as_dict()}


def _interval(value: Estimate) -> str:
    return f"{percent(value.value)} [{percent(value.low)}, {percent(value.high)}]"


def _change(value: Estimate) -> str:
    return f"{signed(value.value)} ({signed(value.low)} to {signed(value.high)})"
