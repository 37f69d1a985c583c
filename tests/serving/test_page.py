"""The page: it loads nothing from elsewhere, and works in a browser."""

import re
from importlib.resources import files

import pytest
from served import serving

PAGE = files("cnncli.serving") / "page"
NAMES = ["page.html", "page.css", "page.js"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_comes_from_elsewhere(name):
    text = (PAGE / name).read_text("utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|innerHTML|insertAdjacentHTML|eval\(", text)
    assert "style=" not in text  # which the policy would refuse


def test_the_files_and_their_headers(client):
    kinds = {"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"}
    for (path, kind), name in zip(kinds.items(), NAMES, strict=True):
        answered = client.ask("GET", path)
        assert answered.status == 200
        assert answered.body == (PAGE / name).read_bytes()
        assert answered.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in answered.headers["content-security-policy"]
        assert client.ask("HEAD", path).body == b""


def test_what_the_page_is_told(client, network, run_dir):
    told = client.ask("GET", "/about").value
    assert told["run"] == run_dir.name
    assert told["model"] == "lenet5"
    assert told["class_names"] == ["one", "two", "zero"]
    assert told["heat_map"]["layer"] == network.heat_maps.layer.name
    assert told["limits"] == {"bytes": 200_000, "pixels": 4_000_000, "images": 64, "seconds": 20}


def test_paths_and_methods_that_are_none(client):
    assert client.ask("GET", "/nosuch").status == 404
    assert client.ask("GET", "/../pyproject.toml").status == 404
    asked = client.ask("GET", "/predict")
    assert (asked.status, asked.value) == (405, {"error": "GET: send an image with POST"})
    asked = client.ask("POST", "/about", b"")
    assert (asked.status, asked.value) == (405, {"error": "POST: ask with GET"})
    assert client.ask("OPTIONS", "/predict").status == 405


def test_metrics_are_prometheus_text(client):
    client.ask("GET", "/nosuch")
    answered = client.ask("GET", "/metrics")
    assert answered.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    sample = r'[a-z_]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? [0-9.e+-]+'
    types = set()
    for line in answered.body.decode().splitlines():
        if line.startswith("# TYPE "):
            types.add(line.split()[2])
        elif not line.startswith("# HELP "):
            assert re.fullmatch(sample, line), line
            name = re.match(r"[a-z_]+", line)[0]
            assert name in types or re.sub("_(bucket|sum|count)$", "", name) in types
    assert 'cnncli_requests_total{path="other",status="404"}' in answered.body.decode()


@pytest.mark.slow
def test_a_browser_shows_the_answer(network, images, tmp_path):
    """Real Chromium, 400 pixels wide: an image and a text, by names that are code to a page."""
    from browser import open_browser

    from cnncli.serving.limits import Limits

    name = "<img src=x onerror=document.title='harm'> \"é😀\u202e.png"
    good, bad = tmp_path / name, tmp_path / "text.png"
    good.write_bytes(images[0].read_bytes())
    bad.write_text("no image")
    with open_browser() as browser, serving(network, Limits()) as client:
        browser.resize(400)
        browser._post("/url", url=f"http://127.0.0.1:{client.port}/")
        browser.press("#files", f"{good}\n{bad}")
        shown = browser.run_until_called(
            "const done = arguments[0]; const look = () => {"
            "const found = [...document.querySelectorAll('article')];"
            "if (found.length < 2) return setTimeout(look, 50);"
            "done(found.map((one) => [one.querySelector('h2').textContent, "
            "one.querySelector('.verdict').textContent, one.querySelectorAll('img').length, "
            "one.querySelectorAll('tbody tr').length]))}; look();"
        )
        row = client.predict(images[0].read_bytes()).value
        assert shown[1][0] == name
        assert shown[1][1].startswith(row["label"])
        assert shown[1][2:] == [2, 3]
        assert shown[0][0] == "text.png"
        assert shown[0][1].startswith("is not an image")
        assert browser.run("return document.title") == f"cnncli: {network.run}"
        assert browser.run("return document.documentElement.scrollWidth") == 400
        beyond = [u for u in browser.requests() if not u.startswith(("data:", "blob:"))]
        assert {u.split("/")[2] for u in beyond} == {f"127.0.0.1:{client.port}"}
        # The one line of the console is Chromium's own, of the answer 422.
        assert [t for t in browser.console() if "422" not in t] == []


@pytest.mark.slow
def test_a_browser_tells_the_stored_decision(decided):
    from browser import open_browser

    from cnncli.reporting import SilentReporter
    from cnncli.run.networks import EngineSettings
    from cnncli.serving.limits import Limits
    from cnncli.serving.network import ServedNetwork

    network = ServedNetwork(str(decided), EngineSettings("torch", "cpu"), SilentReporter())
    with open_browser() as browser, serving(network, Limits()) as client:
        browser._post("/url", url=f"http://127.0.0.1:{client.port}/")
        shown = browser.run_until_called(
            "const done = arguments[0]; const look = () => {"
            "const found = document.querySelectorAll('header p');"
            "if (found.length < 2) return setTimeout(look, 50);"
            "done(found[1].textContent)}; look();"
        )
        written = browser.run(
            "return [0, 0.1, 0.104, 0.12345, 0.6, 0.99999, 1].map(shortPercent).join(', ')"
        )
    assert shown.replace("\xa0", " ") == (
        "As stored with this network: probabilities after temperature 0.7; “two” is chosen from "
        "20 % (sensitivity=0.9 on val); any choice below 50 % is shown as “abstain”."
    )
    assert written.replace("\xa0", " ") == "< 0.01 %, 10 %, 10.4 %, 12.35 %, 60 %, > 99.99 %, 100 %"
