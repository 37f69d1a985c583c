"""Who may ask: requests for another host, or from another site, are refused.

A page of any site can have its visitor's browser ask 127.0.0.1. By DNS rebinding, where its own
name is made to mean 127.0.0.1, it could even read the answer: the name stands in ``Host`` then.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What every answer says to browsers. The page loads nothing from elsewhere and stands in no frame.
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Passes on requests that name an allowed host and come from no other site.

    Args:
        app: The app behind it.
        host: The address that the server listens on, as it was typed.
        names: Further host names to answer to.
    """

    def __init__(self, app: ASGIApp, host: str, names: Iterable[str] = ()) -> None:
        self.app = app
        self.hosts, self.any_address = allowed_hosts(host)
        self.hosts |= {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        reason = self.refuse(scope["method"], Headers(scope=scope))
        if reason is None:
            await self.app(scope, receive, send_guarded)
            return
        body = json.dumps({"error": reason}).encode() + b"\n"
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send_guarded({"type": "http.response.start", "status": 403, "headers": headers})
        await send_guarded({"type": "http.response.body", "body": body})

    def refuse(self, method: str, headers: Headers) -> str | None:
        """Return why a request is refused; None if it is not."""
        hosts = headers.getlist("host")
        name = _name_of(hosts[0]) if len(hosts) == 1 else None
        if name is None or not (name in self.hosts or (self.any_address and _is_address(name))):
            return "this host name is not served here; cnncli serve --allow-host NAME adds one"
        origins = headers.getlist("origin")
        if origins and origins not in ([f"http://{hosts[0]}"], [f"https://{hosts[0]}"]):
            return "requests from pages of other sites are refused"
        site = headers.get("sec-fetch-site", "none")
        if method not in ("GET", "HEAD") and site not in ("none", "same-origin"):
            return "requests from pages of other sites are refused"
        return None


def allowed_hosts(host: str) -> tuple[set[str], bool]:
    """Return the host names that a server at an address answers to.

    Returns:
        The names, and whether any address in numbers is one too: a server that listens on all
        addresses of a machine does not know them, and no site has a number for a name.
    """
    names = {host.lower()}
    if is_loopback(host):
        return names | {"localhost", "127.0.0.1", "::1"}, False
    if is_every(host):
        return names | {"localhost", socket.gethostname().lower()}, True
    return names, False


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def is_every(host: str) -> bool:
    """Return whether an address means all addresses of the machine, such as 0.0.0.0."""
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name_of(host: str) -> str | None:
    """Return the name in a ``Host`` header, without the port; None if there is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises if it is no number
    except ValueError:
        return None
    if parts.netloc != host or "@" in host:
        return None
    return parts.hostname
