"""Makes the file of a study's replicates that ships with it, out of the folder of a run of several.

    stratagem reproduce table1 --replicates 5
    python benchmarks/replicates.py out/table1

A later run of the study shows where its accuracies lie among these.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

from stratagem.studies.files import REPLICATES
from stratagem.study_result import Replicates, decode
from stratagem.workspace import read_json, write_json


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    path = parser.parse_args().folder / "summary.json"
    summary = decode(read_json(path), str(path))
    seeds = len(summary.seeds)
    rounded = {
        arm: {column: tuple(round(value, 4) for value in values) for column, values in columns.items()}
        for arm, columns in summary.by_replicate.items()
    }
    replicates = Replicates(
        date=datetime.date.fromtimestamp(path.stat().st_mtime).isoformat(),
        command=f"stratagem reproduce {summary.name} --replicates {seeds}",
        preset=summary.preset,
        bases=summary.bases[:seeds],
        cells=rounded,
    )
    REPLICATES.mkdir(exist_ok=True)
    write_json(REPLICATES / f"{summary.name}.json", replicates.as_dict())


if __name__ == "__main__":
    main()
