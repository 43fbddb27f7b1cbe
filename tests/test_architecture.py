"""The house as docs/architecture.md draws it: who may import whom, proved from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "stratagem"
# A package imports only itself and what stands above it. `commands` and `cli` stand last.
ORDER = (
    "records",
    "limits",
    "locked",
    "workspace",
    "conditions",
    "endpoint",
    "tasks",
    "labelling",
    "rollouts",
    "stats",
    "decomposition",
    "visible",
    "label_error",
    "learned",
    "forecast",
    "verdict",
    "result",
    "study_result",
    "report",
    "samplers",
    "settings",
    "diagnosis",
    "curation",
    "watch",
    "annotate",
    "discovery",
    "judging",
    "models",
    "sampling",
    "integrations",
    "training",
    "studies",
    "commands",
    "cli",
)
LEFT = ORDER[: ORDER.index("models")]
HEAVY = {"torch", "transformers", "tokenizers", "safetensors", "numba"}


def imports(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_flow_one_way(path: Path) -> None:
    here = room(path)
    if here in ("__init__", "__main__"):
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "stratagem" and len(parts) > 1 and parts[1] in ORDER:
            assert ORDER.index(parts[1]) <= ORDER.index(here), f"{here} imports {name}, which stands below it"
        if here in LEFT:
            assert parts[0] not in HEAVY, f"{here} is in the left wing and imports {name}"


def test_every_room_has_its_place() -> None:
    rooms = {room(path) for path in SOURCE.rglob("*.py")} - {"__init__", "__main__"}
    assert rooms == set(ORDER)


def test_the_left_wing_works_without_torch() -> None:
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {sorted(HEAVY)}: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import stratagem, stratagem.report.study, stratagem.settings, stratagem.decomposition.decompose\n"
        "import stratagem.commands.data, stratagem.commands.lens, stratagem.commands.labels\n"
        "from stratagem.cli import run\n"
        "assert run(['problems', '--size', '2', '--strategy', 'FB']) == 0\n"
        "assert run(['sft', '--out', 'x']) == 2\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "pip install 'stratagem[lab]'" in done.stderr


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 450
