"""Whether a server can be reached, told in less than a second."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit
from urllib.request import getproxies

TIMEOUT_SECONDS = 0.7  # seconds to reach the server; a first connection takes 0.05 to 0.3


def why_unreachable(url: str) -> str | None:
    """Return why no connection to a URL's server, or to the proxy before it, comes about.

    A name server that does not answer holds `socket.getaddrinfo` for many seconds, timeouts or
    not: a thread is left to wait for it.
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
