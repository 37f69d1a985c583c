"""Only the page itself and programs may ask: other hosts and other sites are refused."""

import pytest
import served  # noqa: F401 - skips these tests where the extra is not installed
from starlette.datastructures import Headers

from cnncli.serving.guard import Guard

OTHER_HOST = "this host name is not served here; cnncli serve --allow-host NAME adds one"
OTHER_SITE = "requests from pages of other sites are refused"


def refuse(host, method="GET", typed="127.0.0.1", names=(), **headers):
    guard = Guard(None, typed, names)
    pairs = [(b"host", host.encode())] if host is not None else []
    pairs += [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]
    return guard.refuse(method, Headers(raw=pairs))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "127.0.0.1", "localhost:9", "LOCALHOST", "[::1]:8000"]
)
def test_names_of_this_machine(host):
    assert refuse(host) is None
    assert refuse(host, "POST", origin=f"http://{host}") is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("192.168.0.7", "", "a@localhost", "localhost:x", "localhost/x", "[::1", "0.0.0.0", None),
    ],
)
def test_other_hosts(host):
    assert refuse(host) == OTHER_HOST


def test_two_hosts_are_none():
    pairs = [(b"host", b"localhost"), (b"host", b"localhost")]
    assert Guard(None, "127.0.0.1").refuse("GET", Headers(raw=pairs)) == OTHER_HOST


def test_names_that_were_typed():
    assert refuse("192.168.0.7:8000", typed="192.168.0.7") is None
    assert refuse("192.168.0.8:8000", typed="192.168.0.7") == OTHER_HOST
    assert refuse("localhost", typed="192.168.0.7") == OTHER_HOST
    assert refuse("192.168.0.7:8000", typed="0.0.0.0") is None  # no site has a number for a name
    assert refuse("evil.example", typed="0.0.0.0") == OTHER_HOST
    assert refuse("x-rays.example", names=("X-rays.example",)) is None


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "null", "http://localhost", "http://localhost:8001", "localhost"),
        *("http://localhost:8000.evil.example", "http://localhost:8000/", ""),
    ],
)
def test_other_sites(origin):
    assert refuse("localhost:8000", "POST", origin=origin) == OTHER_SITE
    assert refuse("localhost:8000", "GET", origin=origin) == OTHER_SITE


def test_what_the_browser_says_of_the_site():
    for site in ("cross-site", "same-site"):
        assert refuse("localhost", "POST", sec_fetch_site=site) == OTHER_SITE
        assert refuse("localhost", "GET", sec_fetch_site=site) is None  # a link to the page
    assert refuse("localhost", "POST", sec_fetch_site="same-origin") is None


def test_the_server_refuses_them(client):
    answered = client.ask("GET", "/about", headers={"Host": "evil.example"})
    assert (answered.status, answered.value) == (403, {"error": OTHER_HOST})
    answered = client.predict(b"x", Origin="http://evil.example")
    assert (answered.status, answered.value) == (403, {"error": OTHER_SITE})
    assert "Access-Control-Allow-Origin" not in answered.headers
