"""What stands in the file of rows is done, wherever its writing was cut."""

import csv
import errno
import io
import json
import os

import pytest

from cnncli.errors import CnncliError
from cnncli.recipes.watch.rows_file import RowsFile

COLUMNS = ["path", "label", "probability", "error"]
LABELS = ["cat", 'do"g, the', "=cow"]
NETWORK = "0123456789ab"
# Texts that a CSV has to put into quotes, and bytes of a name that are no text.
PATHS = ["/in/a.png", '/in/b,"c".png', "/in/d\ne\rf.png", "/in/\udcff.png"]
STATE = (12, "2026-11-26T18:28:50.956513498Z")


def row(path, label="cat"):
    return {"path": path, "label": label, "probability": 0.5, "error": ""}


def opened(path, columns=COLUMNS, network=NETWORK, labels=LABELS, **flags):
    return RowsFile(path, columns, network, labels, **flags)


@pytest.fixture(params=[".csv", ".jsonl"])
def file(request, tmp_path):
    return tmp_path / f"rows{request.param}"


def fill(file):
    rows = opened(file)
    for path, label in zip(PATHS, [*LABELS, "cat"], strict=True):
        rows.append(row(path, label), STATE)
    rows.close()
    return file.read_bytes()


def read(file):
    """Return the paths of a file of rows, by Python's own readers."""
    text = file.read_bytes().decode("utf-8", "surrogateescape")
    if file.suffix == ".csv":
        return [each["path"] for each in csv.DictReader(io.StringIO(text, newline=""))]
    return [json.loads(line)["path"] for line in text.splitlines()]


def test_rows_are_read_again_as_they_were_written(file):
    fill(file)
    assert read(file) == PATHS
    rows = opened(file)
    assert rows.done == dict.fromkeys(PATHS, STATE)
    assert (rows.count, rows.mended) == (4, False)
    rows.append(row(PATHS[0]), (99, STATE[1]))  # replaced meanwhile: the last row counts
    rows.close()
    rows = opened(file)
    assert rows.done[PATHS[0]] == (99, STATE[1])
    rows.close()


def test_a_file_that_was_cut_at_any_byte_is_mended(file):
    whole = fill(file)
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        rows = opened(file)
        done = list(rows.done)
        assert done == PATHS[: len(done)]
        for path, label in list(zip(PATHS, [*LABELS, "cat"], strict=True))[len(done) :]:
            rows.append(row(path, label), STATE)
        rows.close()
        assert file.read_bytes() == whole, cut


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ({"columns": [*COLUMNS[:3], "label_2", "error"]}, "lacks label_2"),
        ({"columns": ["path", "label", "error"]}, "has probability"),
        ({"network": "ba9876543210"}, f"network {NETWORK}, and this is ba9876543210"),
        ({"labels": ["cat", "mouse"]}, r"is no class of this network"),
    ],
)
def test_rows_of_another_command_are_refused_and_not_touched(file, flags, why):
    before = fill(file)
    with pytest.raises(CnncliError, match=why) as refused:
        opened(file, **flags)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)
    assert file.read_bytes() == before


@pytest.mark.parametrize("text", ["a note of mine", "path,label\nx,y\n", '"', "\x00\x01"])
def test_a_file_of_something_else_is_not_touched(tmp_path, text):
    file = tmp_path / "rows.csv"
    file.write_text(text)
    with pytest.raises(CnncliError, match="has other columns"):
        opened(file)
    assert file.read_text() == text


def test_lines_that_somebody_spoilt_are_named(tmp_path):
    file = tmp_path / "rows.csv"
    whole = fill(file).decode("utf-8", "surrogateescape")
    for spoilt, why in (
        (whole.replace("cat,0.5", "cat"), "line 2: 6 fields where the header has 7"),
        (whole.replace("0.5,,12", '0.5,",12', 1), "line 5 or one before it: has a quote"),
        (whole.replace(",12,", ",a dozen,"), "line 2: 'a dozen' is no number of bytes"),
    ):
        content = spoilt.encode("utf-8", "surrogateescape")
        file.write_bytes(content)
        with pytest.raises(CnncliError, match=why):
            opened(file)
        assert file.read_bytes() == content


def test_no_two_processes_write_one_file(file):
    pytest.importorskip("fcntl")
    rows = opened(file)
    with pytest.raises(CnncliError, match="another process"):
        opened(file)
    rows.close()
    opened(file).close()


def test_a_file_that_was_changed_or_taken_away_meanwhile_is_not_written_to(file):
    rows = opened(file)
    rows.append(row(PATHS[0]), STATE)
    with file.open("a") as other:
        other.write("mine\n")
    with pytest.raises(CnncliError, match="changed it meanwhile") as refused:
        rows.append(row(PATHS[1]), STATE)
    assert refused.value.exit_code == 1
    file.unlink()
    with pytest.raises(CnncliError, match="removed or replaced it"):
        rows.append(row(PATHS[1]), STATE)
    rows.close()


def test_a_full_disk_leaves_whole_rows_and_a_line(file, monkeypatch):
    rows = opened(file)
    rows.append(row(PATHS[0]), STATE)
    before, write = file.read_bytes(), os.write

    def write_some(handle, content):
        if len(content) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, content[:20])

    monkeypatch.setattr(os, "write", write_some)
    with pytest.raises(CnncliError, match="cannot be written: No space left on device") as failed:
        rows.append(row(PATHS[1]), STATE)
    assert failed.value.exit_code == 1
    monkeypatch.undo()
    assert file.read_bytes() == before
    rows.append(row(PATHS[1]), STATE)  # once there is room again
    rows.close()
    assert read(file) == PATHS[:2]


def test_formulas_are_protected(tmp_path):
    file = tmp_path / "rows.csv"
    for place in range(2):
        rows = opened(file, csv_safe=True)
        rows.append(row(f"/in/{place}.png", "=cow"), STATE)
        rows.close()
    assert [line.split(",")[1] for line in file.read_text().splitlines()[1:]] == ["'=cow"] * 2
    assert rows.done.keys() == {"/in/0.png", "/in/1.png"}
