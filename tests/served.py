"""A server in a thread of this process, and a client that sends what it is told to."""

import contextlib
import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass

import pytest
from helpers import TINY_PNG

# Whoever imports this is skipped where the extra is not there.
for _name in ("starlette", "uvicorn", "python_multipart"):
    pytest.importorskip(_name, reason="the extra cnncli[serve] is not installed")

BOUNDARY = "limit-of-parts"


@dataclass
class Answered:
    """What came back."""

    status: int
    body: bytes
    headers: dict

    @property
    def value(self):
        return json.loads(self.body)


class Client:
    """Asks a server on the loopback address."""

    def __init__(self, port, server=None):
        self.port, self.server = port, server

    def ask(self, method, path, body=None, headers=(), timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Answered(answer.status, answer.read(), dict(answer.getheaders()))

    def predict(self, body, query="", **headers):
        return self.ask("POST", f"/predict{query}", body, headers)

    def predict_form(self, files, query=""):
        parts = []
        for name, content in files:
            head = f'Content-Disposition: form-data; name="image"; filename="{name}"'
            parts += [f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode(), content, b"\r\n"]
        body = b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.ask("POST", f"/predict{query}", body, kind)

    def connect(self, *pieces, timeout=30):
        """Send bytes as they are, and return the socket."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        for piece in pieces:
            connection.sendall(piece)
        return connection


def receive(connection):
    """Return all that comes until the other side closes."""
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


@contextlib.contextmanager
def serving(network, limits, *, batch_size=32, host="127.0.0.1", names=()):
    """Serve a network in a thread, and end it in order."""
    from cnncli.serving.app import build_app
    from cnncli.serving.listen import build_server, open_socket

    ready = threading.Event()
    app = build_app(network, limits, batch_size=batch_size, host=host, names=names)
    server = build_server(app, limits, ready.set)
    with open_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert ready.wait(120)
            yield Client(port, server)
        finally:
            server.should_exit = True
            thread.join(120)
            assert not thread.is_alive()


def ask_until(client, status):
    """Send an image until the answer has this status: a busy machine may be late with the body."""
    answers = []
    wait_until(lambda: answers.append(client.predict(TINY_PNG)) or answers[-1].status == status)
    return answers[-1]


def is_refused(client):
    """Return whether the server takes no connection any more."""
    try:
        client.connect().close()
    except OSError:
        return True
    return False


def wait_until(is_true, seconds=120):
    """Wait until something is true; fail if it never is."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)
