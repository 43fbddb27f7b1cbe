"""Finding a Ray to run a study on, and saying within seconds if there is none."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from stratagem.records import StratagemError
from stratagem.studies.executors.ray import Cluster, first_sentence

HERE = ""  # the address that means: a Ray that runs on this machine, or else a new one
STORE = 80 * 2**20  # bytes of the object store of a Ray that is started here; tasks return nothing


@contextlib.contextmanager
def connect(address: str, gpus: float = 0.0, tasks: int | None = None) -> Iterator[Cluster]:
    """A Ray to run a study on: the one at `address`, or for `HERE` one on this machine, started if none runs.

    A Ray that this process is connected to already is used as it is and left running.

    Args:
        address: `HERE`, ``local`` (a new one here), ``auto`` (one that runs here), ``HOST:PORT``, ``ray://HOST:PORT``.
        gpus, tasks: see `Cluster`.

    Raises:
        StratagemError: Ray is not installed or not reachable, or no task can ask for so many GPUs.
    """
    if gpus < 0 or (gpus > 1 and gpus != int(gpus)):
        raise StratagemError(f"--ray-gpus {gpus:g}: must be a whole number, or a part of one GPU")
    if find_spec("ray") is None:
        raise StratagemError("--ray needs ray: pip install 'stratagem[cluster]'")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a study tells nobody
    import ray  # pyright: ignore[reportMissingImports]

    ours = not ray.is_initialized()
    try:
        if ours:
            join(address)
        yield Cluster(gpus, tasks)
    finally:
        if ours:
            ray.shutdown()


def join(address: str) -> None:
    """Connect this process.

    Raises:
        StratagemError: nothing answers there, or it does not let us in.
    """
    import ray  # pyright: ignore[reportMissingImports]

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    target = find(address)
    if target is None:
        try:
            ray.init("local", include_dashboard=False, object_store_memory=STORE, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            raise StratagemError(f"--ray: Ray does not start here ({first_sentence(error)})") from None
        return
    if refusal := unreachable(target):
        raise StratagemError(
            f"--ray {target}: no Ray answers there ({refusal}); start one with `ray start --head`, or leave the "
            "address out to run on this machine"
        )
    # By this name alone Ray reads this user's own token, which it sends to no address that was given.
    found_here = address in (HERE, "auto") and not os.environ.get("RAY_ADDRESS")
    try:
        ray.init("auto" if found_here else target, **quiet)
    except (OSError, RuntimeError, ValueError, SystemExit) as error:
        raise StratagemError(
            f"--ray {target}: cannot connect ({first_sentence(error)}); Ray and Python have to be the same there, and "
            "RAY_AUTH_MODE and RAY_AUTH_TOKEN set here if it asks for a token"
        ) from None


def find(address: str) -> str | None:
    """The address to connect to; None where a new Ray is to be started."""
    # What ray.init itself asks, and then waits for minutes if the answer is out of date.
    from ray._private.services import (  # pyright: ignore[reportMissingImports]
        canonicalize_bootstrap_address,
    )

    given = os.environ.get("RAY_ADDRESS", "") if address in (HERE, "auto") else address
    if given == "local":
        return None
    if given not in ("", "auto"):
        return given
    try:
        bootstrap = canonicalize_bootstrap_address("auto" if address == "auto" else None)  # pyright: ignore[reportArgumentType]
    except ConnectionError:
        raise StratagemError(
            "--ray auto: no Ray runs on this machine; start one with `ray start --head`, or say --ray alone"
        ) from None
    if bootstrap is not None and address == HERE and unreachable(bootstrap):
        return None  # the address of one that has ended
    return bootstrap


def unreachable(address: str) -> str:
    """Why nothing answers at an address; empty if something does. Ray itself would try for minutes.

    Raises:
        StratagemError: it is no address.
    """
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port or (10001 if parts.scheme == "ray" else None)
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme not in ("", "ray"):
        raise StratagemError(f"--ray {address}: must be auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""
