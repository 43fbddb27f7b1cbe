"""Writes what came out of studies into the table of docs/claims.md: the rows of every study that has a summary.

    stratagem reproduce --all --out out
    python benchmarks/claims.py out

Rows of studies that are not in the folder stay as they are. What is said above the table is for a person to bring up to
date.
"""

from __future__ import annotations

import argparse
import datetime
import re
from pathlib import Path

from stratagem.report.view import VERDICT_SIGNS
from stratagem.studies.files import shipped
from stratagem.study_result import ClaimResult, Part, decode
from stratagem.workspace import read_json

PAGE = Path(__file__).parents[1] / "docs" / "claims.md"


def shown(part: Part) -> str:
    value, low, high = (f"{round(100 * number, 9):z.1f}" for number in (part.value, part.low, part.high))
    numbers = f"{value} [{low}, {high}]".replace("-", "−")
    return f"{VERDICT_SIGNS[part.verdict]} {part.statement}: {numbers}"


def row(study: str, claim: ClaimResult, run: str) -> str:
    parts = "<br>".join(map(shown, claim.parts))
    return f"| `{study}` | {claim.id} | {claim.statement} | **{claim.verdict}** | {parts} | {run} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    page = PAGE.read_text()
    for name in shipped():
        path = folder / name / "summary.json"
        if not path.is_file():
            continue
        summary = decode(read_json(path), str(path))
        made = datetime.date.fromtimestamp(path.stat().st_mtime)
        rows = [row(name, claim, f"{len(summary.seeds)}, {made}") for claim in summary.claims]
        old = re.compile(rf"(^\| `{name}` \| .*\n)+", re.MULTILINE)
        if not old.search(page):
            raise SystemExit(f"{PAGE}: no row of {name} to replace; put one in its place first")
        page = old.sub(lambda _, rows=rows: "\n".join(rows) + "\n", page, count=1)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
