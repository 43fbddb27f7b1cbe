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
    if os.environ.get(KEY):
        headers["Authorization"] = f"Bearer {os.environ[KEY]}"
    data = None if body is None else json.dumps(body).encode()
    problem = ""
    for number in range(TRIES):
        request = urllib.request.Request(url, data, headers, method=method)
        wait = pause * 2**number
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                content = json.loads(reply.read())
            if not isinstance(content, dict):
                raise ValueError("no JSON object")
            return content  # pyright: ignore[reportUnknownVariableType]
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
            raise StratagemError(f"{url}: does not answer in JSON ({error})") from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            problem = str(getattr(error, "reason", None) or error or type(error).__name__)
            if method == "GET":  # the first question of all: nobody is there
                break
        if number + 1 < TRIES:
            time.sleep(wait)
    raise StratagemError(f"{url}: {problem}; is the server running? (vllm serve MODEL)")


def message_of(content: bytes) -> str:
    """A server's error message in one line."""
    try:
        reply = json.loads(content)
        error = reply.get("error", reply)
        text = error.get("message") or error if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        text = content.decode(errors="replace")
    return " ".join(str(text).split())
