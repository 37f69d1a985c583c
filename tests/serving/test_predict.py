"""``POST /predict``: rows as ``cnncli predict`` has them, and what is refused."""

import base64
import io
import json
import shutil
import struct
import zlib

import cv2
import numpy as np
import pytest
import served
from helpers import TINY_PNG
from PIL import Image

from cnncli.reporting import SilentReporter
from cnncli.run.networks import EngineSettings
from cnncli.serving.limits import Limits
from cnncli.serving.network import ServedNetwork


def png_of(width, height):
    """Return a PNG whose header names a size that its data do not have."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_rows_are_those_of_predict(client, cli, run_dir, images):
    flags = ("--top-k", 2, "--probabilities", "--format", "jsonl", "--checkpoint", run_dir)
    chosen = images[::20]
    expected = [json.loads(line) for line in cli("predict", *chosen, *flags).out.splitlines()]
    expected = [{**row, "path": path.name} for row, path in zip(expected, chosen, strict=True)]
    query = "?top_k=2&probabilities=1"
    files = [(path.name, path.read_bytes()) for path in chosen]
    answered = client.predict_form(files, query)
    assert answered.status == 200
    assert answered.value == expected
    assert client.predict_form(files[:1], query).value == expected[0]
    alone = client.predict(files[0][1], f"{query}&name={files[0][0]}")
    assert alone.value == expected[0]
    assert list(alone.value) == list(expected[0])


def test_the_stored_decision_is_that_of_predict(decided, cli, images, tmp_path):
    flags = ("--probabilities", "--top-k", 3, "--format", "jsonl", "--checkpoint", decided)
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    chosen = [*images[::6], bad]
    expected = [json.loads(line) for line in cli("predict", *chosen, *flags).out.splitlines()]
    good = expected[:-1]  # among which each part of the decision makes a difference
    assert "abstain" in {row["label"] for row in good}
    likeliest = [max(row["probabilities"], key=row["probabilities"].get) for row in good]
    assert likeliest != [row["suggested"] for row in good]
    network = ServedNetwork(str(decided), EngineSettings("torch", "cpu"), SilentReporter())
    files = [(path.name, path.read_bytes()) for path in chosen]
    with served.serving(network, Limits()) as client:
        rows = client.predict_form(files, "?probabilities=1&top_k=3").value
        told = client.ask("GET", "/about").value["decision"]
        shown = client.predict(files[0][1], "?heat_map=1").value
    assert rows == [{**row, "path": path.name} for row, path in zip(expected, chosen, strict=True)]
    assert told == {
        "temperature": 0.7,
        "temperature_of_weights": None,
        "positive": "two",
        "threshold": 0.2,
        "operating_point": "sensitivity=0.9",
        "abstain_below": 0.5,
    }
    assert shown["heat_map"]["class"] == expected[0]["suggested"]
    raw = ServedNetwork(str(decided), EngineSettings("torch", "cpu", raw=True), SilentReporter())
    # Without a temperature of the decision nothing is said of the one that the weights have.
    assert raw.about()["decision"] == dict.fromkeys(told.keys() - {"temperature_of_weights"})


def test_the_folder_of_a_cross_validation_is_a_checkpoint(run_dir, cli, images, tmp_path):
    folder = tmp_path / "folds"
    for name in ("fold1", "fold2"):
        shutil.copytree(run_dir, folder / name)
    (folder / "report.json").write_text("{}")
    (folder / "config.yaml").write_text("folds: 2\n")
    flags = ("--format", "json", "--probabilities", "--checkpoint", folder)
    (expected,) = json.loads(cli("predict", images[0], *flags).out)
    network = ServedNetwork(str(folder), EngineSettings("torch", "cpu"), SilentReporter())
    told = network.about()
    assert (told["networks"], told["run"], told["heat_map"]) == (2, "folds", None)
    with served.serving(network, Limits()) as client:
        row = client.predict(images[0].read_bytes(), "?probabilities=1&heat_map=1").value
    assert row["probabilities"] == expected["probabilities"]
    assert row["heat_map"] is None
    assert row["picture"].startswith("data:image/webp;base64,")


def test_an_unreadable_image_among_others(client, images):
    data = images[0].read_bytes()
    answered = client.predict_form([("a.png", data), ("b.png", b"text"), ("c.png", data[:60])])
    assert answered.status == 422
    good, text, cut = answered.value
    assert good["error"] == ""
    assert good["label"]
    assert (text["path"], text["label"], text["probability"]) == ("b.png", None, None)
    assert text["error"].startswith("is not an image of a known format")
    assert "cut short" in cut["error"]


@pytest.mark.parametrize("kind", ["image/png", "application/json", "text/html", "", "x" * 200])
def test_the_content_decides_and_not_its_type(client, images, kind):
    headers = {"Content-Type": kind}
    assert client.predict(images[0].read_bytes(), **headers).status == 200
    assert client.predict(b'{"image": "a"}', **headers).status == 422


def test_too_large(client):
    told = client.predict(b"\0" * 200_001)
    assert (told.status, told.value) == (413, {"error": "too large: more than 200,000 bytes"})
    assert client.predict(iter([b"\0" * 150_000] * 2)).status == 413  # in chunks, no length
    assert client.predict_form([("a", b"\0" * 120_000), ("b", b"\0" * 120_000)]).status == 413
    bomb = client.predict(png_of(2001, 2000))
    assert bomb.status == 413
    assert bomb.value["error"] == "is too large: 2001×2000 has more than 4,000,000 pixels"
    assert client.predict(png_of(60_000, 60_000)).status == 413
    assert client.predict(png_of(20, 20)).status == 422  # the data end early
    pages = io.BytesIO()
    first, *others = [Image.new("L", (1000, 1000))] * 40
    first.save(pages, "TIFF", save_all=True, append_images=others, compression="tiff_deflate")
    told = client.predict(pages.getvalue())
    assert told.status == 413
    assert told.value["error"].endswith("40 channels of 8 bits has more than 32,000,000 bytes")


def test_a_client_that_asks_first_is_told_without_sending(client):
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    with client.connect(head + b"Content-Length: 1000000\r\n\r\n") as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?top_k=0", "top_k=0: must be a whole number, at least 1"),
        ("?top_k=two", "top_k=two: must be a whole number, at least 1"),
        ("?heat_map=maybe", "heat_map=maybe: use 1 or 0"),
        ("?top_k=3&top_k=2", "top_k: is there 2 times; give it once"),
        ("?topk=2", "topk: not known; there are top_k, probabilities, heat_map and name"),
    ],
)
def test_wishes_that_are_none(client, query, told):
    answered = client.predict(TINY_PNG, query)
    assert (answered.status, answered.value) == (400, {"error": told})


def test_forms_that_are_none(client):
    kind = {"Content-Type": "multipart/form-data"}
    assert client.predict(b"abc", **kind).status == 400
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert client.predict(b"abc", **kind).status == 400
    field = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nabc\r\n--b--\r\n'
    answered = client.predict(field, **kind)
    assert answered.value == {"error": "no image in the form: send one or several files"}
    assert client.predict(b"").status == 400
    assert client.predict_form([("a", TINY_PNG)] * 65).status == 400


def test_names_may_hold_anything(client):
    name = "<script>‮é😀\\..\\up/' onload=x"
    row = client.predict_form([(name, TINY_PNG)]).value
    assert row["path"] == "' onload=x"
    assert client.predict_form([("<b>é😀‮", TINY_PNG)]).value["path"] == "<b>é😀‮"


def test_a_heat_map_and_the_picture(client, network, images):
    row = client.predict(images[0].read_bytes(), "?heat_map=1").value

    def decode(uri):
        kind, data = uri.split(",")
        assert kind == "data:image/webp;base64"
        return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)

    expected = cv2.imread(str(images[0]))
    assert (decode(row["picture"]) == expected).all()  # so small a picture loses nothing
    heat = row["heat_map"]
    assert heat["method"] == "grad-cam"
    assert heat["layer"] == network.heat_maps.layer.name
    values = np.array(heat["values"])
    assert values.shape == network.heat_maps.layer.grid
    assert values.min() >= 0
    assert decode(heat["picture"]).shape == expected.shape


def test_large_pictures_are_shown_smaller(client):
    large = cv2.imencode(".png", np.zeros((900, 1800), np.uint8))[1].tobytes()
    row = client.predict(large, "?heat_map=1").value
    data = base64.b64decode(row["picture"].split(",")[1])
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (320, 640, 3)


def test_what_is_odd_about_an_image_is_said(client):
    colours = np.zeros((16, 16, 3), np.uint8)
    colours[..., 2] = 255
    colour = cv2.imencode(".png", colours)[1].tobytes()
    (remark,) = client.predict(colour, "?name=red.png").value["remarks"]
    assert "in colour" in remark
    assert "red.png" in remark
    grey = cv2.imencode(".png", colours[..., 2])[1].tobytes()
    assert "remarks" not in client.predict(grey).value
