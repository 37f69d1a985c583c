"""A server keeps within its bounds, and goes on answering."""

import asyncio
import re
import threading

import pytest
from helpers import TINY_PNG
from served import ask_until, is_refused, receive, serving, wait_until

from cnncli.serving import listen
from cnncli.serving.batches import Batches
from cnncli.serving.limits import Limits

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


class SlowNetwork:
    """A network that answers when it is let go; it keeps how many images came together."""

    def __init__(self, network):
        self._network, self.go, self.batches = network, threading.Event(), []

    def __getattr__(self, name):
        return getattr(self._network, name)

    def answer(self, images):
        self.batches.append(len(images))
        assert self.go.wait(120)
        return self._network.answer(images)


@pytest.fixture
def slow(network):
    return SlowNetwork(network)


@pytest.fixture(scope="module")
def hasty(network):
    """Return the client of a server that waits for no head, and so may cut off any request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listen, "HEAD_SECONDS", 0.3)
        with serving(network, limits()) as client:
            yield client


def limits(**changed):
    return Limits(**{"bytes": 100_000, "images": 8, "seconds": 120.0, **changed})


def ask_at_once(client, count, answers):
    """Start so many clients that send an image each."""

    def ask():
        answers.append(client.predict(TINY_PNG))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_what_waits_together_goes_together(slow, monkeypatch):
    answers, decoded, ask = [], [], Batches.ask

    async def counted(self, image):
        decoded.append(image)
        return await ask(self, image)

    monkeypatch.setattr(Batches, "ask", counted)
    with serving(slow, limits(), batch_size=5) as client:
        threads = ask_at_once(client, 1, answers)
        wait_until(lambda: slow.batches)
        threads += ask_at_once(client, 7, answers)
        wait_until(lambda: len(decoded) == 8)
        assert client.ask("GET", "/healthz").value["waiting"] == 8
        slow.go.set()
        for thread in threads:
            thread.join(120)
        text = client.ask("GET", "/metrics").body.decode()
    assert slow.batches == [1, 5, 2]
    assert [answer.status for answer in answers] == [200] * 8
    assert len({answer.body for answer in answers}) == 1
    assert "cnncli_batch_images_sum 8\n" in text
    assert 'cnncli_images_total{result="answered"} 8\n' in text
    assert 'cnncli_requests_total{path="/predict",status="200"} 8\n' in text


def test_more_than_may_wait_are_told_to_come_again(slow):
    answers = []
    with serving(slow, limits(images=2)) as client:
        threads = ask_at_once(client, 2, answers)
        wait_until(lambda: client.ask("GET", "/healthz").value["waiting"] == 2)
        refused = client.predict(TINY_PNG)
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.value == {"error": "busy: images wait, at most 2; try again"}
        slow.go.set()
        for thread in threads:
            thread.join(120)
        assert client.predict(TINY_PNG).status == 200
    assert [answer.status for answer in answers] == [200, 200]


def test_no_answer_in_time(slow):
    with serving(slow, limits(seconds=0.2)) as client:
        late = ask_until(client, 503)
        assert late.value == {"error": "no answer within 0.2 seconds; try again"}
        slow.go.set()
        ask_until(client, 200)
        assert client.ask("GET", "/healthz").value["waiting"] == 0


def test_a_client_that_goes_away_makes_room(slow):
    with serving(slow, limits(images=2)) as client:
        length = f"Content-Length: {len(TINY_PNG)}\r\n\r\n".encode()
        first = client.connect(HEAD, length, TINY_PNG)
        wait_until(lambda: slow.batches)
        second = client.connect(HEAD, length, TINY_PNG)
        wait_until(lambda: client.ask("GET", "/healthz").value["waiting"] == 2)
        second.close()
        wait_until(lambda: client.ask("GET", "/healthz").value["waiting"] == 1)
        slow.go.set()
        assert first.recv(15) == b"HTTP/1.1 200 OK"
        first.close()


def test_the_end_waits_for_what_has_arrived(slow):
    answers = []
    with serving(slow, limits()) as client:
        (thread,) = ask_at_once(client, 1, answers)
        wait_until(lambda: slow.batches)
        client.server.should_exit = True
        wait_until(lambda: is_refused(client))
        slow.go.set()
        thread.join(120)
    assert answers[0].status == 200


def test_a_bug_in_the_network_is_500_and_no_end(network, caplog):
    class Broken(SlowNetwork):
        def answer(self, images):
            if not self.batches:
                self.batches.append(1)
                raise RuntimeError("a bug")
            return self._network.answer(images)

    with serving(Broken(network), limits()) as client:
        assert client.predict(TINY_PNG).status == 500
        assert client.predict(TINY_PNG).status == 200
    assert "RuntimeError: a bug" in caplog.text


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD, b"Content-Length: 100\r\n\r\nabc"),
        (HEAD, b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
    ],
)
def test_a_body_whose_rest_never_comes(network, pieces):
    with serving(network, limits(seconds=0.2)) as client:
        with client.connect(*pieces) as connection:
            assert receive(connection).startswith(b"HTTP/1.1 408 ")
        assert client.ask("GET", "/healthz").value == {"status": "ok", "waiting": 0}


@pytest.mark.parametrize("piece", [HEAD, b""])
def test_a_head_whose_end_never_comes(hasty, piece):
    with hasty.connect(piece) as connection:
        assert receive(connection) == b""
    wait_until(lambda: is_answered(hasty))


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((HEAD, b"X: " + b"a" * 100_000), b"400"),
        ((HEAD, b"X: a\r\n" * 20_000), b"400"),
        ((b"GET /" + b"a" * 100_000,), b"400"),
        ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9, b"\r\n\r\n"), b"400"),  # TLS
        ((HEAD, b"Content-Length: -5\r\n\r\n"), b"400"),
        ((HEAD, b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"), b"400"),
        ((HEAD, b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), b"400"),
        ((b"POST /predict HTTP/1.1\r\n\r\n",), b"400"),  # no host
        ((b"POST /predict HTTP/1.0\r\n\r\n",), b"403"),
        ((HEAD, b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), b"400"),
    ],
)
def test_senders_that_are_wrong(client, pieces, status):
    with client.connect(*pieces) as connection:
        assert connection.recv(13) == b"HTTP/1.1 " + status + b" "
    assert client.ask("GET", "/healthz").value == {"status": "ok", "waiting": 0}


def test_a_head_that_drips_in_is_cut_off(hasty):
    with hasty.connect(HEAD) as connection:

        def is_cut_off():
            try:
                connection.sendall(b"a")
            except ConnectionError:
                return True
            return False

        wait_until(is_cut_off)  # long before there are so many bytes as to be refused for that


def test_connections_that_say_nothing_take_no_place_of_others(hasty, monkeypatch):
    monkeypatch.setattr(listen, "MOST_CONNECTIONS", 5)
    silent = [hasty.connect() for _ in range(10)]
    wait_until(lambda: is_answered(hasty))
    for connection in silent:
        connection.close()


def is_answered(client):
    try:
        return client.ask("GET", "/healthz").status == 200
    except OSError:
        return False


def test_several_requests_over_one_connection(client):
    one = HEAD + f"Content-Length: {len(TINY_PNG)}\r\n\r\n".encode() + TINY_PNG
    last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with client.connect(one + one + last) as connection:
        got = receive(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", got) == [b"200"] * 3


def test_cancelled_items_are_passed_over():
    async def ask():
        begun, go, seen = threading.Event(), threading.Event(), []

        def double(items):
            begun.set()
            go.wait(120)
            seen.append(list(items))
            return [2 * item for item in items]

        batches = Batches(double, 3, lambda count: None)
        tasks = [asyncio.ensure_future(batches.ask(1))]
        while not begun.is_set():
            await asyncio.sleep(0)
        tasks += [asyncio.ensure_future(batches.ask(item)) for item in (2, 3, 4, 5, 6)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.sleep(0)
        go.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        batches.close()
        return seen, answers

    seen, answers = asyncio.run(ask())
    assert seen == [[1], [2, 4, 5], [6]]
    assert [a for a in answers if not isinstance(a, BaseException)] == [2, 4, 8, 10, 12]
