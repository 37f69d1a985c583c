"""torchvision's weights: out of torch's cache, or from the network into it."""

from __future__ import annotations

import socket
import threading
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import getproxies

from cnncli.errors import CnncliError
from cnncli.models.pretrained.rename import DAMAGED
from cnncli.models.registry import WeightsEntry

PATIENCE = 0.7  # seconds to reach the server; a first connection takes 0.05 to 0.3


def download_weights(model: str, weights: WeightsEntry) -> dict[str, Any]:
    """Return the state dict of torchvision's weights, downloaded unless they are in the cache.

    Raises:
        CnncliError: If they are not in the cache and the network does not give them, with the file
            expected, its folder and the ways around; or if the file in the cache is damaged.
    """
    cached = weights.path.is_file()
    if not cached and (reason := _why_unreachable(weights.url)):
        raise _missing(weights, reason)
    import torchvision

    try:
        enum = torchvision.models.get_model_weights(model)[weights.name]
    except (ValueError, KeyError):
        raise CnncliError(
            f"--weights {weights.name}: torchvision {torchvision.__version__} does not have them "
            f"for {model}; upgrade torchvision"
        ) from None
    try:
        state: dict[str, Any] = enum.get_state_dict(
            progress=not cached, check_hash=True, map_location="cpu", weights_only=True
        )
    except HTTPError as error:
        raise _missing(weights, f"the server answers {error.code}") from None
    except (HTTPException, *DAMAGED) as error:
        if weights.path.is_file():
            raise CnncliError(
                f"--weights {weights.name}: {weights.path} is damaged; delete it, and it is "
                "downloaded anew"
            ) from None
        raise _missing(weights, str(error).split("\n")[0]) from None
    return state


def _missing(weights: WeightsEntry, reason: str) -> CnncliError:
    return CnncliError(
        f"--weights {weights.name}: not on this machine, and not to be had ({reason}): put "
        f"{weights.file} (from {weights.url}) into {weights.path.parent}, or use --weights none or "
        "--weights PATH"
    )


def _why_unreachable(url: str) -> str | None:
    """Return why no connection to a URL's server, or to the proxy before it, comes about.

    A name server that does not answer holds `socket.getaddrinfo` for many seconds, timeouts or
    not: a thread is left to wait for it.
    """
    proxy = getproxies().get("https")
    target = urlsplit(proxy if proxy and "//" in proxy else f"//{proxy}" if proxy else url)
    host, port = target.hostname or "", target.port or (8080 if proxy else 443)
    failures: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=PATIENCE).close()
            failures.append("")
        except OSError as error:
            failures.append(f"{host}: {error.strerror or error}")

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return (failures[0] or None) if failures else f"{host}: no answer"
