"""What ``predict`` is given."""

import io
import os
import threading

import cv2
import numpy as np
import pytest

from cnncli.data.inputs import expand_inputs
from cnncli.errors import CnncliError


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()
    for name in ("a/2.png", "a/1.PNG", "a/deep/0", "a/.hidden.png", "b/é 1.png", "b/[1].png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "a/notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    return tmp_path


def expand(*given, stdin=""):
    return list(expand_inputs(given, io.StringIO(stdin)))


def test_files_are_given_back_as_they_are_in_their_order(images):
    given = ["b/é 1.png", "a/2.png", "./a/2.png", "no-such.png", "a/notes.txt"]
    assert expand(*given) == given


def test_a_folder_gives_its_images_sorted(images):
    assert expand("a") == ["a/1.PNG", "a/2.png", "a/deep/0"]
    assert expand("a/") == ["a/1.PNG", "a/2.png", "a/deep/0"]
    assert expand(str(images / "b")) == [f"{images}/b/[1].png", f"{images}/b/é 1.png"]


def test_globs_are_expanded_sorted_and_may_name_folders(images):
    assert expand("a/*.png") == ["a/2.png"]
    assert expand("?/*1.*") == ["a/1.PNG", "b/é 1.png"]
    assert expand("**/*.png") == ["a/2.png", "b/[1].png", "b/é 1.png"]
    assert expand("a/d*") == ["a/deep/0"]


def test_a_name_with_glob_letters_that_exists_is_that_file(images):
    assert expand("b/[1].png") == ["b/[1].png"]


@pytest.mark.parametrize(
    ("given", "why"),
    [("empty", "empty: no images in this folder"), ("a/*.jpg", "a/[*].jpg: matches no file")],
)
def test_an_input_that_names_nothing_is_an_error(images, given, why):
    with pytest.raises(CnncliError, match=why):
        expand(given)


def test_stdin_lines_are_paths_as_they_stand(images):
    lines = "a/2.png\nb/é 1.png\r\n\nb/[1].png\nno-such-[x]*.png\nempty\n a \nlast.png"
    assert expand("-", stdin=lines) == [
        "a/2.png",
        "b/é 1.png",
        "b/[1].png",
        "no-such-[x]*.png",  # reading them tells what is wrong
        "empty",
        " a ",
        "last.png",
    ]
    assert expand("a/1.PNG", "-", "a/2.png", stdin="x\n") == ["a/1.PNG", "x", "a/2.png"]


def test_stdin_is_streamed():
    source, sink = os.pipe()
    with os.fdopen(source, encoding="utf-8") as stdin, os.fdopen(sink, "wb", 0) as pipe:
        paths = expand_inputs(["-"], stdin)
        got = []
        pipe.write(b"first.png\n")
        reader = threading.Thread(target=lambda: got.append(next(paths)), daemon=True)
        reader.start()
        reader.join(10)
        assert got == ["first.png"]  # the pipe is still open
        pipe.write(b"second.png\n")
        pipe.close()
        assert list(paths) == ["second.png"]


def test_a_folder_is_walked_only_as_far_as_it_is_read(images):
    paths = expand_inputs(["a", "empty"], io.StringIO())
    assert next(paths) == "a/1.PNG"  # the error of the second input comes when it is its turn


def stream(content, encoding="utf-8"):
    """Return a stdin of these bytes, as the tool opens it."""
    return io.TextIOWrapper(io.BytesIO(content), encoding=encoding, errors="surrogateescape")


LISTS = {
    "utf-8": "größe/1.png\nb 2.png\n".encode(),
    "utf-8 of Windows": "größe/1.png\r\nb 2.png\r\n".encode("utf-8-sig"),
    "no last line end": "\ufeffgröße/1.png\r\nb 2.png".encode(),
    "PowerShell": "größe/1.png\r\nb 2.png\r\n".encode("utf-16"),
    "big endian": "\ufeffgröße/1.png\r\n\r\nb 2.png\r\n".encode("utf-16-be"),
    "no mark": "größe/1.png\r\nb 2.png\r\n".encode("utf-16-le"),
    "no mark, big endian": "größe/1.png\nb 2.png\n".encode("utf-16-be"),
    "four bytes": "größe/1.png\nb 2.png\n".encode("utf-32"),
    "two lists": "\ufeffgröße/1.png\n\ufeffb 2.png\n".encode(),
    "old Mac": "größe/1.png\rb 2.png\r".encode(),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_in_every_encoding(name):
    assert list(expand_inputs(["-"], stream(LISTS[name]))) == ["größe/1.png", "b 2.png"]


def test_a_list_in_the_locales_encoding():
    latin = stream("größe.png\n".encode("latin-1"), "latin-1")
    assert list(expand_inputs(["-"], latin)) == ["größe.png"]
    marked = stream("größe.png\nä.png\n".encode("utf-8-sig"), "latin-1")
    assert list(expand_inputs(["-"], marked)) == ["größe.png", "ä.png"]
    assert list(expand_inputs(["-"], stream(b"caf\xe9.png\n"))) == ["caf\udce9.png"]


def test_lists_that_are_none():
    with pytest.raises(CnncliError, match="too long for a path"):
        list(expand_inputs(["-"], stream(bytes(3 * 2**20))))
    with pytest.raises(CnncliError, match="begins as UTF-16"):
        list(expand_inputs(["-"], stream(b"\xff\xfea\0\n")))
    # find -print0: reading such a path fails, with a reason in its row
    assert list(expand_inputs(["-"], stream(b"a\0b\0"))) == ["a\0b\0"]
