"""The whole path at toy size: nine models, their table, gains, claims and report; and its resumption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.records import StratagemError
from stratagem.studies import table1
from tests.studies.edited import edited

CELLS = [f"{s}/{stage}" for s in ("F", "B", "FB") for stage in ("SFT", "RL(2-5)", "RL(6-9)")]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study with very few problems and updates."""
    return edited(
        tmp_path_factory.mktemp("study") / "tiny.toml",
        ("size = 480", "size = 16"),
        ("size = 2048", "size = 64"),
        ("epochs = 6", "epochs = 2"),
        ("updates = 100", "updates = 3"),
        ("prompts = 1024", "prompts = 8"),
        ("batch = 32\ngroup = 8", "batch = 4\ngroup = 4"),
    )


@pytest.fixture(scope="module")
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    table1.reproduce("quick", 1, out, progress=lambda *_: None, settings=tiny)
    return out


def test_summary_has_what_it_promises(whole: Path) -> None:
    summary = json.loads((whole / "summary.json").read_text())
    assert list(summary["cells"]) == CELLS
    for cell in summary["cells"].values():
        for part in ("all", "inversion", "evaluation"):
            assert {"value", "low", "high", "n"} <= cell[part].keys()
            assert 0 <= cell[part]["value"] <= 1
    assert set(summary["gains"]) == {cell for cell in CELLS if "RL" in cell}
    for cell, gain in summary["gains"].items():
        parts = [gain[name]["value"] for name in ("selection", "improvement", "new_strategy")]
        assert sum(parts) == pytest.approx(gain["gain"]["value"], abs=1e-12)
        before, after = (summary["cells"][c]["all"]["value"] for c in (f"{cell.split('/')[0]}/SFT", cell))
        assert gain["gain"]["value"] == pytest.approx(after - before, abs=1e-12)
        assert {"reverse", "symmetric", "threefold"} <= gain.keys()
    assert [claim["id"] for claim in summary["claims"]] == ["1", "2", "3", "4"]
    assert {claim["verdict"] for claim in summary["claims"]} <= {"upheld", "refuted", "undecided"}
    for name in ("study", "deviations", "seeds", "elapsed_s", "versions"):
        assert summary[name]


def test_the_report_is_one_file_with_the_answer(whole: Path) -> None:
    page = (whole / "report.html").read_text()
    assert "Table 1" in page
    assert 'src="http' not in page


def test_finished_work_is_not_done_again(whole: Path, tiny: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}
    seen: list[str] = []
    table1.reproduce("quick", 1, whole, progress=lambda what, *_: seen.append(what), settings=tiny)
    assert seen == []
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()} == before


def test_another_preset_is_refused(whole: Path, tiny: Path) -> None:
    with pytest.raises(StratagemError, match="preset was 'quick', now 'full'"):
        table1.reproduce("full", 1, whole, progress=lambda *_: None, settings=tiny)


def test_killed_in_the_middle_it_ends_with_the_same_numbers(whole: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    code = (
        "import sys; from pathlib import Path; from stratagem.studies import table1\n"
        "if __name__ == '__main__':\n"
        "    table1.reproduce('quick', 1, Path(sys.argv[1]), progress=lambda *_: None, settings=Path(sys.argv[2]))\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    for wait in (9, 13):
        child = subprocess.Popen(
            [sys.executable, str(script), str(out), str(tiny)], env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        child.wait()
        time.sleep(1.5)  # its workers notice and end
    table1.reproduce("quick", 1, out, progress=lambda *_: None, settings=tiny)
    first, second = (json.loads((folder / "summary.json").read_text()) for folder in (whole, out))
    for name in ("cells", "gains", "claims", "forced", "greedy"):
        assert first[name] == second[name]
    for cell in CELLS:
        place = Path("seed0") / table1.folder_of(cell) / "model" / "model.safetensors"
        assert (whole / place).read_bytes() == (out / place).read_bytes()
