"""Listen at an address, and end in order: uvicorn, with bounds that it lacks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from cnncli.errors import CnncliError
from cnncli.serving.limits import HEAD_SECONDS, MOST_CONNECTIONS, MOST_HEAD_BYTES, Limits

_BACKLOG = 1024  # connections that wait to be accepted


def open_socket(host: str, port: int) -> socket.socket:
    """Take an address. Whoever asks before the network is loaded waits until it is there.

    Raises:
        CnncliError: If there is no such address, or it is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CnncliError(f"--host {host}: no address of this machine ({reason})") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)  # until then, Linux lets two programs take the same address
    except OSError as error:
        listener.close()
        if error.errno in (98, 48, 10048):  # address in use: Linux, macOS, Windows
            raise CnncliError(
                f"--port {port}: taken by another program; name another, or 0 for a free one"
            ) from None
        raise CnncliError(f"--host {host} --port {port}: {error.strerror}") from None
    return listener


def address_of(listener: socket.socket, host: str) -> str:
    """Return the URL of a server, by the host as it was typed."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/"


def listen(
    app: ASGIApp, listener: socket.socket, limits: Limits, ready: Callable[[], None]
) -> None:
    """Answer requests until SIGTERM or Ctrl-C, and then finish those that are there.

    Args:
        app: The app.
        listener: The socket that `open_socket` has opened; it is closed at the end.
        limits: The bounds of a request.
        ready: Is called once the server answers.
    """
    build_server(app, limits, ready).run(sockets=[listener])


def build_server(app: ASGIApp, limits: Limits, ready: Callable[[], None]) -> uvicorn.Server:
    """Return the server, not yet running; see :func:`listen`."""

    class Protocol(WatchedProtocol):
        request_seconds = 2 * limits.seconds + HEAD_SECONDS

    # Each bad form would be a line on stderr; the client is told, and /metrics counts them.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=int(2 * limits.seconds) + 1,
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        backlog=_BACKLOG,
    )
    return _Server(config, ready)


class WatchedProtocol(H11Protocol):
    """HTTP/1.1 in which a request has a time to arrive and to be answered, and is cut off then.

    Attributes:
        request_seconds: Seconds from a request's head to the end of its answer.
    """

    request_seconds = 60.0
    _timer: asyncio.TimerHandle | None = None
    _timed: RequestResponseCycle | None = None  # whose time runs; None while a head is awaited

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._start(HEAD_SECONDS, None)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        self._start(HEAD_SECONDS, None)
        super().on_response_complete()  # which may begin with the next request
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Give a request that has just begun its time."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and cycle is not self._timed:
            self._start(self.request_seconds, cycle)

    def _start(self, seconds: float, cycle: RequestResponseCycle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timed = cycle
        self._timer = self.loop.call_later(seconds, self.transport.abort)


class _Server(uvicorn.Server):
    """A server that says when it listens, and for which a signal is the ordinary end."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
