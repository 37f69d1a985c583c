"""When an image counts as arrived; the clock is ours."""

import errno
import os

import pytest
from helpers import TINY_PNG, Heard

from cnncli.data import walk
from cnncli.recipes.watch import arrivals
from cnncli.recipes.watch.arrivals import Arrivals, read_state


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def place(tmp_path):
    clock, heard, done = Clock(), Heard(), {}
    folder = tmp_path / "in"
    folder.mkdir()
    watched = Arrivals(folder, done, heard, clock)

    def look(after=0.0):
        clock.now += after
        return [os.path.relpath(path, folder) for path, _ in watched.look()]

    return folder, look, watched, done, heard


def answer(arrivals, done, path):
    done[str(path)] = read_state(str(path))
    arrivals.settle(str(path))


def test_a_file_is_there_once_it_has_been_still_for_two_seconds(place):
    folder, look, arrivals, done, _ = place
    file = folder / "a.png"
    file.write_bytes(TINY_PNG[:20])
    assert look() == []
    assert look(1.5) == []
    file.write_bytes(TINY_PNG)  # it grows: the two seconds begin anew
    assert look(1) == []
    assert look(1.9) == []
    assert arrivals.waiting == 1
    assert look(0.2) == ["a.png"]
    answer(arrivals, done, file)
    assert look(9) == []
    assert arrivals.waiting == 0


def test_a_file_that_is_replaced_is_answered_again_and_one_that_is_gone_is_forgotten(place):
    folder, look, arrivals, done, _ = place
    old, short = folder / "old.png", folder / "short-lived.png"
    old.write_bytes(TINY_PNG)
    short.write_bytes(TINY_PNG)
    look()
    short.unlink()
    assert look(3) == ["old.png"]
    answer(arrivals, done, old)
    os.utime(old, (1, 1))  # of the same size
    assert look() == []
    assert look(3) == ["old.png"]
    answer(arrivals, done, old)
    old.rename(folder / "new.png")
    assert look() == []
    assert look(3) == ["new.png"]


def test_unfinished_hidden_and_other_files_are_left_alone(place):
    folder, look, _, _, _ = place
    (folder / "day" / "hour").mkdir(parents=True)
    (folder / ".trash").mkdir()
    names = ("a.png.part", "b.png.tmp", "c.PNG.crdownload", "d.png~", ".e.png.x7Gs", ".trash/f.png")
    for name in (*names, "day/hour/g.png", "image-without-ending"):
        (folder / name).write_bytes(TINY_PNG)
    (folder / "rows.csv").write_text("path\n")
    look()
    assert look(3) == ["day/hour/g.png", "image-without-ending"]
    (folder / "a.png.part").rename(folder / "a.png")
    (folder / "rows.csv").write_bytes(TINY_PNG)  # whatever it is called, it is an image now
    look()
    assert look(3) == ["a.png", "day/hour/g.png", "image-without-ending", "rows.csv"]


def test_a_link_to_nothing_is_an_image_that_cannot_be_read(place):
    folder, look, _, _, _ = place
    (folder / "link.png").symlink_to(folder / "nowhere")
    look()
    assert look(3) == ["link.png"]


def test_a_file_that_cannot_be_opened_at_one_look_is_tried_again(place, monkeypatch):
    """Without an ending, only its first bytes say whether it is an image."""
    folder, look, arrivals, _, heard = place
    file, text = folder / "IM0001", folder / "notes"
    file.write_bytes(TINY_PNG)
    text.write_text("no image")
    look()
    is_away = True

    def open_file(path, mode):
        if is_away and path == str(file):
            raise OSError(errno.ESTALE, "Stale file handle")
        return open(path, mode)

    monkeypatch.setattr(walk, "open", open_file, raising=False)
    assert look(3) == look(3) == []
    assert arrivals.waiting == 1  # the other one is known to be none
    (told,) = heard.warnings
    assert told.startswith(f"{file}: cannot be read (Stale file handle), and its name does not")
    is_away = False
    assert look(3) == ["IM0001"]


def test_a_folder_that_cannot_be_read_is_told_once_and_tried_again(place):
    folder, look, _, _, heard = place
    (folder / "a.png").write_bytes(TINY_PNG)
    look()
    folder.rename(folder.with_name("away"))  # the network drive is gone
    assert look(3) == look() == []
    assert heard.warnings == [
        f"{folder}: the folder cannot be read (No such file or directory); it is tried again"
    ]
    folder.with_name("away").rename(folder)
    assert look() == []
    assert look(3) == ["a.png"]
    assert heard.notes == [f"{folder}: can be read again"]


def test_of_a_folder_that_cannot_be_read_it_is_told_what_became_of_it(place, monkeypatch):
    folder, look, _, _, heard = place
    failing = {folder / "day"}

    def walk(root, tell):
        for path in failing:
            tell(str(path), OSError(13, "Permission denied"))
        return iter(())

    monkeypatch.setattr(arrivals, "walk_files", walk)
    look()
    failing.add(folder)
    failing.discard(folder / "day")  # it lies in the other, so that nothing is known of it
    look()
    failing.clear()
    look()
    assert heard.notes == [f"{folder}: can be read again", f"{folder / 'day'}: is gone"]
