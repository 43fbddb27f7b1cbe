"""Several processes on one folder of results: each is done or refused in a line, and what is there at the end is whole.

A lock of `flock` belongs to whoever opened the file, so that threads exclude one another as processes do.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stratagem.locked import LOCK, written_aside
from stratagem.records import StratagemError
from stratagem.workspace import CONFIG, Stage, aside_of, partial_of, whole, write_bytes

PARTS = ("extra.txt", "result.json")
WORKERS, ROUNDS = 6, 80


@pytest.fixture(autouse=True)
def _often_switched() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(work: Callable[[int, random.Random], None]) -> Counter[str]:
    """What comes of many calls of `work` in several threads, by what was raised."""
    came: list[str] = []

    def many(number: int) -> None:
        rng = random.Random(number)
        for _ in range(ROUNDS):
            try:
                work(number, rng)
                came.append("done")
            except ZeroDivisionError:
                came.append("broken off")
            except StratagemError as error:
                came.append(str(error).partition(": ")[2].partition(" (")[0])
            except Exception as error:
                came.append(repr(error))

    threads = [threading.Thread(target=many, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(came)


def test_results_that_are_made_at_once(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def work(number: int, rng: random.Random) -> None:
        with whole(out, PARTS) as folder:
            for name in PARTS:
                (folder / name).write_text(str(number))
            if rng.random() < 0.5:
                raise ZeroDivisionError
        if rng.random() < 0.1:  # as a user may, who begins anew
            (out / "extra.txt").unlink(missing_ok=True)

    came = at_once(work)
    assert came.keys() <= {"done", "broken off", "another process is writing there; wait for it"}, came
    assert came["done"]
    with whole(out, PARTS) as folder:
        for name in PARTS:
            (folder / name).write_text("last")
    assert {path.name: path.read_text() for path in out.iterdir()} == dict.fromkeys(PARTS, "last")


def test_results_that_are_all_broken_off(tmp_path: Path) -> None:
    """The folder itself comes and goes."""
    out = tmp_path / "out"

    def work(number: int, rng: random.Random) -> None:
        with whole(out, PARTS) as folder:
            (folder / "extra.txt").write_text(str(number))
            raise ZeroDivisionError

    came = at_once(work)
    assert came.keys() <= {"broken off", "another process is writing there; wait for it"}, came
    assert not out.exists()


@pytest.mark.parametrize("settings", [1, 2], ids=["of the same settings", "of other settings"])
def test_stages_that_are_made_at_once(settings: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    inside = threading.Lock()

    def work(number: int, rng: random.Random) -> None:
        size = number % settings
        with Stage("made", 1, {"size": size}, out).open() as folder:
            assert inside.acquire(blocking=False)
            try:
                (folder / "size").write_text(str(size))
                if rng.random() < 0.8:
                    raise ZeroDivisionError
                assert (folder / "size").read_text() == str(size)
            finally:
                inside.release()

    came = at_once(work)
    said = {
        "another process is working there; wait for it",
        "another process has just made it; give the command again",
    }
    assert came.keys() <= {"done", "broken off", "made with other settings", *said}, came
    assert came["done"] == 1
    assert (out / "size").read_text() in ("0", "1")
    assert not partial_of(out).exists()


@pytest.mark.parametrize(("size", "said"), [(1, "has just made it"), (2, "made with other settings")])
def test_a_stage_that_another_process_has_just_made_leaves_no_folder(
    size: int, said: str, tmp_path: Path
) -> None:
    late = Stage("made", 1, {"size": size}, tmp_path / "out")
    with Stage("made", 1, {"size": 1}, tmp_path / "out").open() as folder:
        (folder / "part").write_text("1")
    with pytest.raises(StratagemError, match=said):
        late.open().__enter__()
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert (tmp_path / "out" / "part").read_text() == "1"


def test_the_lock_that_a_kill_left_in_a_finished_stage_goes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Stage("made", 1, {}, out).open():
        pass
    (out / LOCK).touch()
    assert Stage("made", 1, {}, out).done
    assert {path.name for path in out.iterdir()} == {CONFIG}


def test_a_stage_at_work_is_left_alone_by_one_of_other_settings(tmp_path: Path) -> None:
    with Stage("made", 1, {"size": 1}, tmp_path / "out").open() as folder:
        (folder / "part").write_text("1")
        with pytest.raises(StratagemError, match="another process is working there"):
            Stage("made", 1, {"size": 2}, tmp_path / "out").open().__enter__()
        assert (folder / "part").read_text() == "1"


def test_a_file_that_is_written_at_once(tmp_path: Path) -> None:
    """Each sweeps what others were killed in, and never what others are at."""
    path = tmp_path / "a[1].csv"
    contents = [bytes([number]) * 50_000 for number in range(WORKERS)]

    def work(number: int, rng: random.Random) -> None:
        write_bytes(path, contents[number])
        if path.read_bytes() not in contents:
            raise AssertionError("torn")
        if rng.random() < 0.3:
            (tmp_path / f".{path.name}.{rng.randrange(10**6)}.aside").write_text("as a kill leaves it")

    came = at_once(work)
    assert came == {"done": WORKERS * ROUNDS}
    write_bytes(path, b"last")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {path.name: b"last"}


def test_what_another_process_writes_or_another_file_left_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    others = [".b.csv.17.aside", ".a.csv.17.aside.bak", ".a.csv.x.aside", "a.csv.17.aside"]
    for name in [*others, ".a.csv.17.aside", ".a.csv.0b1c.aside"]:
        (tmp_path / name).write_text("1")
    (tmp_path / ".a.csv.18.aside").symlink_to("b.csv")
    (tmp_path / ".a.csv.19.aside").mkdir()
    with written_aside(lambda: aside_of(path)) as file:
        write_bytes(path, b"2")
        assert Path(file.name).exists()
        os.replace(file.name, tmp_path / "mine")
    assert {each.name for each in tmp_path.iterdir()} == {
        *others,
        ".a.csv.18.aside",
        ".a.csv.19.aside",
        "a.csv",
        "mine",
    }
