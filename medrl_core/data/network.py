"""No server is waited for without end: the hub is asked once before anything is loaded from it.

Its library tries a silent hub five times for each of a dozen files, and sets no limit of time for
what it asks first.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medrl_core.errors import UserError

# Seconds without a byte from a server of MedMNIST.
SILENCE = 30.0


def ask_hub(name: str, kind: str = "model") -> str:
    """Ask the hub for a model or a data set, for as long as HF_HUB_DOWNLOAD_TIMEOUT says (10 s).

    Arguments: `name` OWNER/NAME; `kind` "model" or "dataset".
    Returns: what to load: the name if the hub answered, whatever it said, or is switched off; if it
    is silent, the folder where its cache has the model.
    Raises: UserError if the hub is silent and the cache does not have it.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    limit = constants.HF_HUB_DOWNLOAD_TIMEOUT
    _limit_all(limit)
    try:
        HfApi().repo_info(name, repo_type=kind, timeout=limit)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled):
        pass  # the loader says it in its own words
    except Exception as error:  # of the library below: no route, no name, no answer in time
        what = "data set" if kind == "dataset" else kind
        silent = f"the hub {constants.ENDPOINT} gives no answer ({type(error).__name__})"
        kept = try_to_load_from_cache(name, "config.json", repo_type=kind)
        if isinstance(kept, str):
            print(f"{silent}; {what} {name} is taken from its cache", file=sys.stderr)
            return str(Path(kept).parent)
        raise UserError(
            f"{what} {name!r}: {silent} within {limit} s: go online and try again, or name a local "
            "folder; HF_HUB_DOWNLOAD_TIMEOUT is the limit"
        ) from error
    return name


@contextmanager
def limited_silence() -> Iterator[None]:
    """Limit what waits for a socket inside to SILENCE, for libraries that set no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _limit_all(seconds: int) -> None:
    """Let no later request wait longer for a sign of life, whatever the library gives it."""
    from huggingface_hub import get_session

    def limit(request: Any) -> None:
        given = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {
            part: min(given.get(part) or seconds, seconds)
            for part in ("connect", "read", "write", "pool")
        }

    client = get_session()  # one for all requests of this process
    hooks = client.event_hooks
    if not any(hook.__qualname__ == limit.__qualname__ for hook in hooks["request"]):
        client.event_hooks = hooks | {"request": [*hooks["request"], limit]}
