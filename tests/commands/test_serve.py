"""``cnncli serve`` as a process: its address, its end, and what it refuses."""

import contextlib
import http.client
import random
import signal
import socket
import sys
import threading
import time

import pytest
from helpers import TINY_PNG, started
from served import Client, ask_until, is_refused, receive, wait_until

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


@contextlib.contextmanager
def serve(run_dir, *flags, port=0):
    """Start the tool and return the process and a client, once it has said its address."""
    with started("serve", run_dir, "--port", port, *flags, cwd=run_dir) as process:
        url = process.stdout.readline()
        assert url.startswith("http://127.0.0.1:"), process.stderr.read()
        yield process, Client(int(url.rstrip("/\n").rpartition(":")[2]))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--port", 70000), "--port 70000: a port is a number from 0 to 65535"),
        (("--max-waiting", 0), "--max-waiting 0: must be at least 1"),
        (("--timeout", -1), "--timeout -1: must be at least 1"),
    ],
)
def test_flags_that_are_none(cli, flags, told):
    result = cli("serve", *flags)
    assert (result.code, result.error) == (2, told)


def test_without_the_extra(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = cli("serve")
    told = "serve: needs its extra, of which uvicorn is missing: pip install 'cnncli[serve]'"
    assert (result.code, result.error) == (2, told)


def test_addresses_that_cannot_be_had(cli, run_dir):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        told = f"--port {port}: taken by another program; name another, or 0 for a free one"
        assert cli("serve", run_dir, "--port", port).error == told
    told = cli("serve", run_dir, "--host", "192.0.2.1", "--port", "0").error  # RFC 5737: nobody's
    assert told.startswith("--host 192.0.2.1 --port 0: ")
    assert cli("serve", run_dir, "--host", "no host").error.startswith("--host no host: ")


def test_no_run(cli, tmp_path):
    result = cli("serve", tmp_path / "nosuch", "--port", 0)
    assert result.code == 2
    assert result.error.startswith(f"{tmp_path / 'nosuch'}: no such run folder")


@pytest.mark.slow
def test_the_address_is_all_of_stdout_and_sigterm_finishes_what_is_there(run_dir):
    with serve(run_dir) as (process, client):
        length = f"Content-Length: {len(TINY_PNG)}\r\n\r\n".encode()
        late = client.connect(HEAD, length, TINY_PNG[:20])
        assert client.ask("GET", "/healthz").status == 200  # it came later: that head is read
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(client))
        late.sendall(TINY_PNG[20:])
        assert b"HTTP/1.1 200 OK" in receive(late)
        late.close()
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert err == "stopped\n"


@pytest.mark.slow
def test_a_hundred_clients_lose_nothing(run_dir, folder_data):
    """Each of 100 clients asks 20 times, and gets the answer to its own image each time."""
    paths = sorted(folder_data.glob("*/*.png"))
    files = [(path.name, path.read_bytes()) for path in paths]
    wrong, count = [], 20
    with serve(run_dir) as (_, client):
        alone = {name: client.predict(data, f"?name={name}").value for name, data in files}

        def ask(number):
            for turn in range(count):
                name, data = files[(number * 7 + turn) % len(files)]
                answered = client.predict(data, f"?name={name}")
                row = answered.value
                near = abs(row["probability"] - alone[name]["probability"]) < 1e-5
                if answered.status != 200 or row["label"] != alone[name]["label"] or not near:
                    wrong.append(row)

        run_together(ask, 100)
        text = client.ask("GET", "/metrics").body.decode()
    assert wrong == []
    total = 100 * count + len(files)
    assert f'cnncli_requests_total{{path="/predict",status="200"}} {total}\n' in text
    assert "cnncli_images_waiting 0\n" in text


def run_together(function, count):
    threads = [threading.Thread(target=function, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive()


def attack(client, draw):
    """Send one request that no client should; return the status of the answer, if any."""
    data = bytearray(TINY_PNG)
    for _ in range(draw.randrange(1, 5)):
        data[draw.randrange(len(data))] = draw.randrange(256)
    noise = draw.randbytes(draw.randrange(1, 3000))
    length = f"Content-Length: {len(data)}\r\n\r\n".encode()
    form = b"Content-Type: multipart/form-data; boundary=b\r\n"
    pieces = draw.choice(
        [
            (HEAD, length, bytes(data)),  # a damaged image
            (HEAD, length, bytes(data[: draw.randrange(len(data))])),  # cut
            (HEAD, b"Content-Length: %d\r\n\r\n" % len(noise), noise),
            (noise,),
            (HEAD, b"X-Long: " + b"a" * draw.randrange(10**6) + b"\r\n\r\n"),
            (HEAD, b"Content-Length: 99999999999\r\n\r\n", noise),
            (HEAD, b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", noise),
            (HEAD, form, b"Content-Length: %d\r\n\r\n" % (len(noise) + 5), b"--b\r\n", noise),
            (HEAD, form, b"Content-Length: 9\r\n\r\n", b"--b--\r\n\r\n"),
            (HEAD[:-2], b"\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
            (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"%2e%2e/" * 9),),
            (b"POST /predict?top_k=%s HTTP/1.1\r\nHost: localhost\r\n" % (b"9" * 5000), length),
            (b"POST /predict HTTP/1.1\r\nHost: evil.example\r\n", length, bytes(data)),
            (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",),
        ]
    )
    with contextlib.suppress(OSError), client.connect(timeout=draw.uniform(0.1, 3)) as connection:
        for piece in pieces:
            connection.sendall(piece)
            if draw.random() < 0.1:
                time.sleep(0.2)
        if draw.random() < 0.3:
            return None  # gone without reading
        return int(connection.recv(4096)[9:12])
    return None


@pytest.mark.slow
def test_a_thousand_hostile_requests_and_it_still_answers(run_dir):
    statuses = []
    with serve(run_dir, "--timeout", 2, "--max-megabytes", 1) as (process, client):
        before = ask_until(client, 200).value

        def attack_often(number):
            draw = random.Random(number)
            for _ in range(50):
                with contextlib.suppress(ValueError):
                    statuses.append(attack(client, draw))

        run_together(attack_often, 20)
        assert ask_until(client, 200).value == before
        wait_until(lambda: client.ask("GET", "/healthz").value["waiting"] == 0)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert len(statuses) > 900
    assert set(statuses) <= {None, 200, 400, 403, 404, 405, 408, 413, 422, 503}
    assert "Traceback" not in err


@pytest.mark.slow
def test_killed_and_started_again_while_clients_try_again(run_dir):
    answers, stop = [], threading.Event()
    with serve(run_dir) as (process, client):
        port = client.port

        def ask(number):
            for _ in range(20):
                while not stop.is_set():
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        answered = client.predict(TINY_PNG)
                        if answered.status == 200:
                            answers.append(answered.body)
                            break
                    time.sleep(0.1)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answers) > 50)
        process.kill()
        process.wait()
    try:
        with serve(run_dir, port=port):
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()
    finally:
        stop.set()
    assert len(answers) == 400
    assert len(set(answers)) == 1
