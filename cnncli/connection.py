"""Find out in less than a second whether a server can be reached."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit
from urllib.request import getproxies

TIMEOUT_SECONDS = 0.7  # seconds to reach the server; a first connection takes 0.05 to 0.3


def why_unreachable(url: str) -> str | None:
    """Return why the server of a URL cannot be reached, or None if it can.

    Where the environment names a proxy for this kind of URL, the connection is made to the proxy.
    The connection is tried in a thread, because a name server that does not answer blocks
    `socket.getaddrinfo` for many seconds, whatever the timeout; the thread is then left behind.

    Args:
        url: An address such as ``https://download.pytorch.org/models/``.
    """
    scheme = urlsplit(url).scheme
    proxy = getproxies().get(scheme)
    target = urlsplit(proxy if proxy and "//" in proxy else f"//{proxy}" if proxy else url)
    usual = 8080 if proxy else 80 if scheme == "http" else 443
    host, port = target.hostname or "", target.port or usual
    failures: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=TIMEOUT_SECONDS).close()
            failures.append("")
        except OSError as error:
            failures.append(f"{host}: {error.strerror or error}")

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    return (failures[0] or None) if failures else f"{host}: no answer"
