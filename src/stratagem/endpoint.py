"""One request to a server that speaks the OpenAI-compatible protocol, tried again where the server is busy."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Collection
from typing import Any

from stratagem.records import StratagemError

TRIES = 6  # of one request, with waits of 1, 2, 4, 8 and 16 seconds between them
BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
KEY = "OPENAI_API_KEY"


class Refusal(StratagemError):
    """A server refuses a request; `fields` are those of the request that its message names."""

    def __init__(self, message: str, fields: Collection[str], status: int = 400) -> None:
        super().__init__(message)
        self.fields, self.status = frozenset(fields), status


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address of its own, with the key; to another server without it."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and (following.type, following.host) != (req.type, req.host):
            following.remove_header("Authorization")
        return following


_opener = urllib.request.build_opener(_SameServer)


def ask(
    server: str,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    timeout: float,
    pause: float = 1.0,
) -> dict[str, Any]:
    """The reply to one request. A key, where one is needed, is read from OPENAI_API_KEY.

    Args:
        server: its address, such as ``http://localhost:8000/v1``.
        timeout: seconds until a reply is given up. pause: seconds before the second try; then twice as many each time.

    Raises:
        Refusal: it does not take the request.
        StratagemError: it gives no JSON, or stays out of reach.
    """
    url = f"{server.rstrip('/')}/{path}"
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY, "").strip():
        if not key.isascii() or not key.isprintable():
            raise StratagemError(f"{KEY}: holds characters that no key has")
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data, headers, method=method)
    except ValueError as error:
        raise StratagemError(f"{url}: no address of a server ({error})") from None
    problem = ""
    for number in range(TRIES):
        wait = pause * 2**number
        try:
            with _opener.open(request, timeout=timeout) as reply:
                return _object(url, reply.read())
        except urllib.error.HTTPError as error:
            with error:
                message = message_of(error.read())
                after = error.headers.get("Retry-After", "")
            problem = f"{error.code} {message[:200]}"
            if error.code not in BUSY:
                hint = f" (its key is read from {KEY})" if error.code in (401, 403) else ""
                fields = [name for name in body or {} if re.search(rf"\b{re.escape(name)}\b", message)]
                raise Refusal(f"{url}: {problem}{hint}", fields, error.code) from None
            wait = max(wait, float(after) if after.isdigit() else 0.0)
        except ValueError as error:
            raise StratagemError(f"{url}: no address of a server ({error})") from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            problem = str(getattr(error, "reason", None) or error or type(error).__name__)
            if method == "GET":  # the first question of all: nobody is there
                break
        if number + 1 < TRIES:
            time.sleep(wait)
    raise StratagemError(f"{url}: {problem}; is the server running? (vllm serve MODEL)")


def _object(url: str, content: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StratagemError(f"{url}: does not answer in JSON ({error})") from None
    if not isinstance(reply, dict):
        raise StratagemError(f"{url}: does not answer in JSON (no JSON object)")
    return reply  # pyright: ignore[reportUnknownVariableType]


def message_of(content: bytes) -> str:
    """A server's error message in one line."""
    try:
        reply = json.loads(content)
        error = reply.get("error", reply)
        text = error.get("message") or error if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        text = content.decode(errors="replace")
    return " ".join(str(text).split())
