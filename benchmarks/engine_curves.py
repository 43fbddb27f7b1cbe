"""Cost and memory of an update of the native engine by width of the model, batch, group and length.

    python benchmarks/engine_curves.py --picture docs/curves.png

One setting is changed at a time, each point in a process of its own. Widths are of untrained models, whose samples
share hardly anything; all else is the shipped base after SFT (see `engine.py`).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import altair as alt
import polars as pl
import torch
from engine import RL, TASK, Work, native_grpo

from stratagem.models.folder import save_model
from stratagem.models.transformer import Shape, Transformer
from stratagem.models.vocabulary import make_tokenizer, vocabulary
from stratagem.report import charts
from stratagem.settings import GRPOConfig, SFTConfig
from stratagem.training import sft


def point(arguments: tuple[str, int, GRPOConfig]) -> dict[str, float]:
    """Cost and memory of an update of the model, or of a random one of a width, in a process of its own."""
    folder, width, config = arguments
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Path(folder)
    if width:
        words = vocabulary(TASK)
        shape = Shape(len(words), hidden_size=width, intermediate_size=2 * width)
        model = Path(tempfile.mkdtemp())
        save_model(Transformer(shape), make_tokenizer(words), model)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work = Work()
    native_grpo(model, replace(config, updates=3), work)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": median(work.seconds),
        "tokens_per_second": work.rate,
        "mebibytes": (after - before) / 1024,
    }


def curves(model: Path) -> list[dict[str, Any]]:
    """One row a point, printed as it is measured."""
    grid = [("width", w, w, RL) for w in (64, 128, 256, 512)]
    grid += [("batch", b, 0, replace(RL, batch=b)) for b in (8, 16, 32, 64, 128)]
    grid += [("group", g, 0, replace(RL, group=g)) for g in (2, 4, 8, 16, 32)]
    grid += [("steps", s, 0, replace(RL, steps=(s, s))) for s in (2, 4, 8, 16)]
    rows = []
    for name, value, width, config in grid:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = {"by": name, "value": value, **pool.apply(point, ((str(model), width, config),))}
        rows.append(row)
        print(
            f"{name:6} {value:4}  {row['seconds']:7.3f} s  {row['tokens_per_second']:8,.0f} tokens/s  "
            f"{row['mebibytes']:6.0f} MiB",
            flush=True,
        )
    return rows


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Two rows of panels, seconds above memory, one column a setting; both axes logarithmic."""
    table = pl.DataFrame(rows).unpivot(
        ["seconds", "mebibytes"], index=["by", "value"], variable_name="what", value_name="measured"
    )
    names = {"seconds": "CPU seconds an update", "mebibytes": "memory, MiB"}

    def panel(what: str, by: str) -> alt.Chart:
        values = table.filter(what=what, by=by)["value"].to_list()
        x = alt.X("value:Q", title=by, scale=alt.Scale(type="log", base=2, nice=False)).axis(
            values=values, format="d"
        )
        y = alt.Y("measured:Q", title=names[what] if by == "width" else None, scale=alt.Scale(type="log"))
        return (
            alt.Chart(table.filter(what=what, by=by))
            .mark_line(point=True, color=charts.PALETTE[0])
            .encode(x=x, y=y)
            .properties(width=170, height=130)
        )

    whole = alt.vconcat(
        *(alt.hconcat(*(panel(what, by) for by in table["by"].unique(maintain_order=True))) for what in names)
    )
    charts.write_picture(whole.to_dict() | {"config": charts.CONFIG}, path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="a model folder; without it the base after SFT is made")
    parser.add_argument("--picture", type=Path, help="draw the curves to this .png or .svg")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = curves(options.model or sft.train(SFTConfig(), Path(folder) / "FB") / "model")
    if options.picture is not None:
        picture(rows, options.picture)


if __name__ == "__main__":
    main()
