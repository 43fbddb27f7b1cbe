"""The page of a run over real HTTP, and in a real browser while the run goes on."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stratagem.records import StratagemError
from stratagem.watch.page import Watched
from stratagem.watch.responses import Asked
from stratagem.watch.server import Server
from stratagem.watch.study import StudyRun
from tests.report.chrome import CHROMIUM, tab
from tests.watch import runs


class Client:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = server.server_address[1]

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def data(self) -> dict[str, Any]:
        self.server.watched._next = 0.0  # whatever the last look cost
        status, _, text = self.ask("/data")
        assert status == 200, text
        return json.loads(text)


@contextlib.contextmanager
def served(folder: Path, host: str = "127.0.0.1", score: str | None = None) -> Iterator[Client]:
    with Server(Watched(folder, Asked(score)), host, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield Client(server)
        finally:
            server.shutdown()
            thread.join()


def test_a_run_is_watched_from_before_its_beginning_to_after_its_end(tmp_path: Path) -> None:
    made = runs.lines(40, drift=0.01)
    with served(tmp_path / "run") as client:
        assert "Waiting for the run to begin" in client.data()["html"]
        log = runs.stage(tmp_path / "run.partial", b"".join(made[:5]) + made[5][:40])
        first = client.data()
        assert "5 of 40" in first["html"]
        assert "lines of its log" not in first["html"]
        with open(log, "ab") as file:
            file.write(made[5][40:] + b"\0\0\0\n" + b"".join(made[6:39]))
        later = client.data()
        assert "39 of 40" in later["html"]
        assert "1 damaged line of its log left out" in later["html"]
        assert "by selecting strategies" in later["html"]
        assert later["seen"] != first["seen"]
        with open(log, "ab") as file:
            file.write(made[39])
        (tmp_path / "run.partial").rename(tmp_path / "run")
        ended = client.data()
        assert "40 of 40" in ended["html"]
        assert "<dd>done</dd>" in ended["html"]


def test_what_has_not_changed_is_not_sent_again(tmp_path: Path) -> None:
    runs.stage(tmp_path / "run", b"".join(runs.lines(4)))
    with served(tmp_path / "run") as client:
        seen = client.data()["seen"]
        status, _, text = client.ask(f"/data?seen={seen}")
        assert (status, text) == (204, "")
        assert client.ask("/data?seen=other")[0] == 200


@pytest.mark.parametrize("path", ["/etc/passwd", "/../config.json", "/data/../..", "/data%2f..", "/run", "*"])
def test_no_other_address_is_served(tmp_path: Path, path: str) -> None:
    runs.stage(tmp_path / "run", b"".join(runs.lines(4)))
    with served(tmp_path / "run") as client:
        status, _, text = client.ask(path)
        assert (status, text) == (404, "no such page")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_get_is_answered(tmp_path: Path, method: str) -> None:
    with served(tmp_path / "run") as client:
        assert client.ask("/", method)[0] == 501


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9", 200),  # as through a tunnel
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("evil.example:8765", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("192.0.2.7", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_strange_names_are_refused(tmp_path: Path, host: str, status: int) -> None:
    with served(tmp_path / "run") as client:
        assert client.ask("/data", Host=host)[0] == status


def test_served_to_others_addresses_are_known_and_names_are_not(tmp_path: Path) -> None:
    with served(tmp_path / "run", "0.0.0.0") as client:
        assert client.server.url.startswith("http://localhost:")
        assert client.ask("/data", Host="192.0.2.7:80")[0] == 200
        assert client.ask("/data", Host=socket.gethostname())[0] == 200
        assert client.ask("/data", Host="evil.example")[0] == 403


def test_the_page_allows_nothing_but_its_own_scripts_and_server(tmp_path: Path) -> None:
    runs.stage(tmp_path / "run", b"".join(runs.lines(4)))
    with served(tmp_path / "run") as client:
        status, headers, page = client.ask("/")
    assert status == 200
    policy = page.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy.replace("style-src 'unsafe-inline'", "")
    assert "http:" not in policy
    assert "*" not in policy
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_names_in_a_log_are_text(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    cell = [[hostile, 2, hostile, 8, 4]]
    content = b"".join(json.dumps({"update": i, "cells": cell}).encode() + b"\n" for i in range(4))
    runs.stage(tmp_path / hostile.replace("/", "_"), content)
    with served(tmp_path / hostile.replace("/", "_")) as client:
        html, page = client.data()["html"], client.ask("/")[2]
    assert "<img" not in html
    assert "<img src=x" not in page
    assert "&lt;img" in html


@pytest.mark.parametrize("make", ["file", "rollout", "several", "nothing of ours", "no parent"])
def test_wrong_folders_are_refused_in_a_line(tmp_path: Path, make: str) -> None:
    place = tmp_path / "x"
    match make:
        case "file":
            place.write_text("x")
            said = "a file; name the folder"
        case "rollout":
            runs.stage(place, stage="rollout")
            said = "holds a rollout"
        case "several":
            runs.stage(place / "one")
            runs.stage(place / "two.partial")
            said = "it holds one, two: name one of them"
        case "nothing of ours":
            place.mkdir()
            (place / "notes.txt").write_text("x")
            said = "no run there"
        case _:
            place = tmp_path / "no" / "such"
            said = "is not there either"
    with pytest.raises(StratagemError, match=said) as caught:
        Watched(place)
    assert "\n" not in str(caught.value)
    assert str(place) in str(caught.value)


@pytest.mark.parametrize("name", ["run", "run.partial"])
def test_either_name_of_a_stage_will_do(tmp_path: Path, name: str) -> None:
    runs.stage(tmp_path / "run.partial", b"".join(runs.lines(3)))
    assert "3 of 40" in Watched(tmp_path / name).show().html


def test_a_config_that_is_half_written_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "run.partial").mkdir()
    watched = Watched(tmp_path / "run")
    (tmp_path / "run.partial" / "config.json").write_text('{"stage": "r')
    assert "Waiting" in watched.show().html
    (tmp_path / "run.partial" / "config.json").unlink()
    (tmp_path / "run.partial").rmdir()
    runs.stage(tmp_path / "run.partial", b"".join(runs.lines(3)))
    watched._next = 0.0
    assert "3 of 40" in watched.show().html


def test_sft_shows_its_loss(tmp_path: Path) -> None:
    content = b"".join(
        json.dumps({"update": i, "epoch": 0, "loss": 2.0 - i / 10}).encode() + b"\n" for i in range(5)
    )
    runs.stage(tmp_path / "sft", content, "sft", epochs=2, size=100, batch=32, strategy="FB")
    shown = Watched(tmp_path / "sft").show()
    assert "Loss 1.600 after 5 updates" in shown.html
    assert "5 of 8" in shown.html
    assert "Loss over updates" in shown.html


ARMS = {"fast": ("rl", "fast"), "slow/start": ("sft", "slow_start"), "slow/RL(6-9)": ("rl", "slow_RL_6-9")}


def study(folder: Path, replicates: int = 2) -> None:
    folder.mkdir()
    arms = [
        {"name": name, "stage": stage, "start": None, "folder": f"seed{i}/{place}", "replicate": i}
        for i in range(replicates)
        for name, (stage, place) in ARMS.items()
    ]
    rollouts = [f"seed{i}/rollouts/{place}" for i in range(replicates) for _, place in ARMS.values()]
    plan = {"name": "made up", "arms": arms, "rollouts": rollouts, "settings": {"preset": "quick"}}
    (folder / "study.json").write_text(json.dumps(plan))


def test_a_study_shows_what_is_done_running_and_waiting(tmp_path: Path) -> None:
    study(tmp_path / "study", replicates=3)
    watched = Watched(tmp_path / "study")
    assert "3 trainings: 3 waiting" in watched.show().html
    sft = b'{"update": 0, "loss": 1.5}\n'
    for replicate in (0, 1):
        place = tmp_path / f"study/seed{replicate}/slow_start"
        runs.stage(place, sft, "sft", epochs=1, size=32, batch=32)
    runs.stage(tmp_path / "study/seed0/slow_RL_6-9", b"".join(runs.lines(40, 0.01)))
    runs.stage(tmp_path / "study/seed1/slow_RL_6-9.partial", b"".join(runs.lines(12)))
    for name in ("slow_start", "fast.partial"):
        (tmp_path / "study/seed0/rollouts" / name).mkdir(parents=True)
        (tmp_path / "study/seed0/rollouts" / name / "config.json").write_text("{}")
    watched._next = 0.0
    shown = watched.show()
    assert "6 trainings: 3 done, 1" in shown.html
    assert "slow/RL(6-9) replicate 1" in shown.html
    assert "12 / 40" in shown.html
    assert "<dd>1 of 9" in shown.html
    assert "slow/RL(6-9) replicate 0|gain" in json.dumps(shown.charts)


def test_a_study_whose_plan_is_half_written_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study/study.json").write_text('{"arms": [')
    watched = Watched(tmp_path / "study")
    assert "Waiting for the study to begin" in watched.show().html
    (tmp_path / "study/study.json").unlink()
    (tmp_path / "study").rmdir()
    study(tmp_path / "study")
    watched._next = 0.0
    assert "3 trainings: 3 waiting" in watched.show().html


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ({"name": "a"}, "Expected `array`"),
        ([], "lists no arms"),
        (None, "Expected `array`"),
        ([{"name": "a"}], "missing required field `folder`"),
        ([{"name": "a", "folder": 3}], "Expected `str`"),
    ],
)
def test_a_study_without_a_list_of_its_arms_is_said(tmp_path: Path, arms: Any, said: str) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"arms": arms}))
    with pytest.raises(StratagemError, match=said) as caught:
        Watched(tmp_path).show()
    assert str(tmp_path / "study.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_plan_that_a_study_writes_is_the_one_that_is_read(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the lab extra")
    from stratagem.studies.plan import plan
    from stratagem.studies.run import write_plan
    from stratagem.studies.study import read_study

    study = read_study("table1")
    jobs = plan(study, "quick", 2, tmp_path, [(tmp_path, "")], {})
    write_plan(tmp_path, "table1", study, "quick", 2, jobs)
    run = StudyRun(tmp_path)
    assert [run.name for run in run.poll()] == list(study.tree)
    trainings = {job.out.relative_to(tmp_path) for job in jobs if job.stage != "rollout"}
    assert {Path(arm.folder) for arm in run.plan.arms} == trainings
    assert run.evaluations() == (0, 0, len(jobs) - len(trainings))


def test_panels_follow_the_order_of_the_log(tmp_path: Path) -> None:
    cells = [["zeta", 2, "s", 8, 4], ["alpha", 2, "t", 8, 4]]
    content = b"".join(json.dumps({"update": i, "cells": cells}).encode() + b"\n" for i in range(4))
    runs.stage(tmp_path / "run", content)
    html = Watched(tmp_path / "run").show().html
    assert 0 < html.index("share, zeta") < html.index("share, alpha")


def test_a_trl_run_is_watched_by_its_completions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    watched = Watched(tmp_path / "trl")
    for step in range(1, 13):
        runs.completions(tmp_path / "trl", step, rng, drift=0.03)
    shown = watched.show()
    assert "no callback" not in shown.html
    assert "by selecting strategies" in shown.html
    assert "share, kind inversion" in json.dumps([shown.html])
    (tmp_path / "trl/completions/completions_00013.parquet").write_bytes(b"PAR1 half")
    watched._next = 0.0
    assert "After 12 updates" in watched.show().html
    runs.completions(tmp_path / "trl", 13, rng)
    watched._next = 0.0
    assert "After 13 updates" in watched.show().html


def test_what_a_trl_run_logged_itself_is_shown_with_its_checkpoints(tmp_path: Path) -> None:
    runs.trainer_state(tmp_path / "trl", 6, 20)
    shown = Watched(tmp_path / "trl").show()
    assert "6 of 20" in shown.html
    assert "After 6 updates +5.0 percentage points: +4.0 by selecting strategies and +1.0" in shown.html
    runs.trainer_state(tmp_path / "trl", 12, 12)
    watched = Watched(tmp_path / "trl")
    assert "<dd>done</dd>" in watched.show().html


def test_what_describes_a_problem_is_told_from_what_else_was_logged(tmp_path: Path) -> None:
    """Guesses differ within a problem, so they are no type of problem."""
    runs.completions(tmp_path / "trl", 1, np.random.default_rng(0), guess=["a", "b"] * 32, turn=[1, 2] * 32)
    html = Watched(tmp_path / "trl").show().html
    assert "kind evaluation" in html
    assert "guess" not in html
    assert "<span>difficulty</span>" in html
    for steps in (2, 3):
        assert f"</i>{steps}</span>" in html
    assert "</i>1</span>" not in html


def test_a_trl_run_that_has_only_begun_is_waited_for(tmp_path: Path) -> None:
    """TRL makes the folder of completions before it trains."""
    watched = Watched(tmp_path / "trl")
    (tmp_path / "trl/completions").mkdir(parents=True)
    assert "Waiting" in watched.show().html
    runs.completions(tmp_path / "trl", 3, np.random.default_rng(0))
    watched._next = 0.0
    assert "3 updates so far" in watched.show().html


def test_of_several_rewards_one_has_to_be_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for step in range(1, 5):
        runs.completions(tmp_path / "trl", step, rng, form=[1.0, 0.0] * 32)
    html = Watched(tmp_path / "trl").show().html
    assert "several columns may say what is right: right (0, 1), form (0, 1); name one with --score" in html
    assert "name one" not in Watched(tmp_path / "trl", Asked("right")).show().html


def test_a_page_keeps_itself_up_to_date(tmp_path: Path) -> None:
    """In Chromium: charts are drawn and drawn again, the page stays where it was, it says when the server is gone."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    made = runs.lines(40, drift=0.01)
    log = runs.stage(tmp_path / "run.partial", b"".join(made[:20]))
    root = "document.documentElement.dataset"
    with tab(tmp_path / "profile") as page:
        with served(tmp_path / "run") as client:
            page.size(1280)
            page.go(f"http://127.0.0.1:{client.port}/")
            page.until(f"{root}.drawn >= 4")
            assert page.value("document.querySelector('#part-gain svg') !== null")
            page.value("window.scrollTo(0, 700)")
            page.until("document.querySelectorAll('#part-training-1 svg').length >= 6")
            page.value("window.kept = document.querySelector('#part-training-1 .plot')")
            before = page.value("window.scrollY")
            with open(log, "ab") as file:
                file.write(b"".join(made[20:33]))
            page.until("document.querySelector('h1').textContent.includes('After 33 updates')")
            assert page.value("window.scrollY") == before > 0
            assert page.value("window.kept.isConnected && window.kept.querySelector('svg') !== null")
            page.until("[...window.kept.children].every(c => !c.classList.contains('next'))")
            for width in (390, 1280):
                page.size(width)
                assert page.value("document.documentElement.scrollWidth") <= width
            assert page.value(f"{root}.errors") is None
            assert page.problems == []
        page.until("!document.getElementById('lost').hidden")
        assert "has ended" in page.value("document.getElementById('lost').textContent")
