"""``cnncli visualize`` as it is called: what all of its pictures share."""

import csv
import io
import json
import sys

import numpy as np
import pytest

from cnncli.files import BEST_FILE
from cnncli.recipes.visualize.views import COMMON, VIEWS
from cnncli.shell.visualize_flags import VISUALIZE_FLAGS

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def visualize(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *args: cli("visualize", *args)


@pytest.fixture
def bytes_of(visualize, monkeypatch):
    """Return a function that gives what the command writes to stdout, as bytes."""

    def run(*args):
        out = io.TextIOWrapper(io.BytesIO(), write_through=True)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            assert visualize(*args).code == 0
        return out.buffer.getvalue()

    return run


@pytest.mark.parametrize("width", [80, 100, 140])
def test_help_has_a_line_for_each_picture(cli, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    text = cli("visualize", "--help").out
    assert max(map(len, text.splitlines())) <= width
    section = text.split("\nPictures:\n")[1].split("\n\n")[0]
    words = "".join(section.split())  # a line may be broken at a hyphen
    for name, entry in VIEWS.items():
        assert f"\n  {name} " in f"\n{section}"
        assert "".join(f"{name}{entry.about}".split()) in words


def test_every_flag_of_a_picture_is_one_of_the_command():
    used = {name for entry in VIEWS.values() for name in entry.flags} | set(COMMON)
    assert used <= set(VISUALIZE_FLAGS)


def test_a_wrong_picture_gets_the_nearest_or_all(visualize):
    assert visualize("filtrs").error == "WHAT filtrs: no picture; did you mean filters?"
    error = visualize("qqqqqq").error
    assert error.startswith("WHAT qqqqqq: no picture; there are ")
    assert all(name in error for name in VIEWS)
    assert visualize("qqqqqq").code == 2
    assert visualize().code == 2


def test_a_flag_of_another_picture_is_refused(visualize):
    result = visualize("functions", "--layer", "conv1")
    assert result.code == 2
    assert result.error.startswith("--layer: visualize functions does not take it; it is a flag of")
    assert "filters" in result.error


@pytest.mark.parametrize("text", ["x", "1,2", "-1", "1,2,3,4", "", "1,,2", "1.5", "²"])
def test_a_unit_is_one_number_or_three(visualize, text):
    from cnncli.commands.visualize import _read_values
    from cnncli.errors import CnncliError

    with pytest.raises(CnncliError, match="write a channel such as 5") as caught:
        _read_values({"unit": text})
    assert "\n" not in str(caught.value)
    assert _read_values({"unit": "5"}) == {"unit": (5,)}
    assert _read_values({"unit": "5, 3,0"}) == {"unit": (5, 3, 0)}


def test_the_picture_is_named_after_what_it_shows(visualize, tmp_path):
    result = visualize("functions", "relu")
    assert (result.code, result.out, result.err) == (0, "functions.png\n", "")
    assert (tmp_path / "functions.png").read_bytes().startswith(PNG)
    result = visualize("functions", "relu", "--output", "a.JPG")
    assert (result.code, result.out) == (0, "a.JPG\n")
    assert (tmp_path / "a.JPG").read_bytes().startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("a.pdf", "must end in .png, .jpg or .jpeg"),
        ("a", "must end in"),
        ("nowhere/a.png", "there is no folder nowhere"),
        ("folder.png", "is a folder"),
    ],
)
def test_where_a_picture_cannot_be_written(visualize, tmp_path, output, why):
    (tmp_path / "folder.png").mkdir()
    result = visualize("functions", "--output", output)
    assert result.code == 2
    assert why in result.error
    assert result.error.startswith(f"--output {output}: ")


def test_numbers_in_place_of_the_picture(visualize, bytes_of, tmp_path):
    result = visualize("functions", "relu,gelu", "--format", "csv")
    assert (result.code, result.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert list(rows[0]) == ["function", "x", "y", "slope"]
    assert {row["function"] for row in rows} == {"relu", "gelu"}
    document = json.loads(visualize("functions", "relu,gelu", "--format", "json").out)
    assert [row["y"] for row in document] == [float(row["y"]) for row in rows]
    array = np.load(io.BytesIO(bytes_of("functions", "relu,gelu", "--format", "npy")))
    np.testing.assert_array_equal(array[0].ravel(), [float(row["y"]) for row in rows])
    assert list(tmp_path.iterdir()) == []


def test_numbers_and_the_picture(visualize, tmp_path):
    result = visualize("functions", "relu", "--format", "csv", "--output", "a.png")
    assert result.out.startswith("function,x,y,slope")
    assert result.err == "picture: a.png\n"
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


def test_numbers_are_not_written_to_a_terminal(visualize, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Terminal())
        result = visualize("functions", "relu", "--format", "npy")
    assert result.code == 2
    assert "> numbers.npy" in result.error


def test_the_newest_run_is_taken_and_named(cli, in_workspace, run_dir, tmp_path):
    out = tmp_path / "a.png"
    result = cli("visualize", "filters", "--output", out)
    assert (result.code, result.out) == (0, f"{out}\n")
    assert result.err == f"checkpoint: runs/{run_dir.name}/{BEST_FILE} (the newest run)\n"
    assert cli("visualize", "filters", run_dir, "--output", out).err == ""


def test_without_a_run_one_is_asked_for(visualize):
    result = visualize("filters")
    assert result.code == 2
    assert result.error.startswith("no run in runs/: train one")


def test_a_runs_own_weights_stay(visualize, run_dir):
    result = visualize("filters", run_dir, "--weights", "default")
    assert result.code == 2
    assert "has weights of its own" in result.error
    result = visualize("filters", run_dir, "--image-size", 64)
    assert result.code == 2
    assert result.error == "--image-size: the run has 32; leave it out"


def test_random_weights_are_called_random(visualize):
    result = visualize("filters", "lenet5", "--seed", 3)
    assert result.code == 0
    assert "lenet5 with random weights of seed 3: nothing of it is learnt" in result.err


def test_what_is_neither_a_network_nor_a_run(visualize):
    result = visualize("filters", "lenet6")
    assert result.code == 2
    assert "lenet5" in result.error
    assert result.error.endswith("nor a run folder")
    assert visualize("filters", "runs/nothing").code == 2


def test_every_picture_has_a_section_and_a_row_on_its_page():
    from helpers import ROOT

    page = (ROOT / "docs" / "visualize.md").read_text("utf-8")
    for name in VIEWS:
        assert f"\n## {name}\n" in page
        assert f"\n| [`{name}`](#{name}) |" in page


def test_help_imports_nothing_heavy():
    from fresh_process import HEAVY, run

    modules, _ = run("visualize", "--help")
    assert modules & HEAVY == set()
    modules, said = run("visualize", "filters", "--unit", "3", exit_code=2)
    assert "--unit: visualize filters does not take it" in said
    assert modules & HEAVY == set()
