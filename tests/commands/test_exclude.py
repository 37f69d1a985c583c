"""``--exclude``: what a list names takes no part, in no split, after a break and in evaluate."""

import csv
import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from helpers import train, write_digits

from cnncli.config import RunConfig
from cnncli.recipes.train import resume_run, train_run
from cnncli.reporting import SilentReporter

FLAGS = ("--model", "lenet5", "--epochs", 1, "--device", "cpu")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return a folder of three classes of 15 images, and go to the folder that it is in."""
    write_digits(tmp_path / "data", per_class=15)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def names_in(root):
    return sorted(path.relative_to(root).as_posix() for path in root.glob("*/*.png"))


def read(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_a_list_names_is_left_out_and_said(cli, data):
    """Paths of the data set, of the working folder and absolute ones, and a line that is none."""
    names = names_in(data)
    lines = [names[0], f"./{names[20]}", f"data/{names[3]}", str(data / names[4]), "gone.png", ""]
    Path("drop.txt").write_text("\n".join(lines))
    result = cli("train", data, *FLAGS, "--exclude", "drop.txt")
    assert result.code == 0
    assert "left out by --exclude drop.txt: 4 of 45 images" in result.err
    assert "Warning: --exclude drop.txt: 1 of its 5 lines is no image of --data (gone.png)" in (
        result.err
    )
    run = Path(result.out.strip())
    out = {names[0], names[20], names[3], names[4]}
    assert {row["path"] for row in read(run / "splits.csv")} == set(names) - out
    assert {row["path"] for row in read(run / "excluded.csv")} == out
    assert yaml.safe_load((run / "config.yaml").read_text())["exclude"] == "drop.txt"
    assert cli("runs", "delete", run, "--yes").code == 0


def test_evaluate_leaves_out_what_the_run_did(cli, data):
    """Else they would count as new images, and be judged by the labels that are in doubt."""
    names = names_in(data)
    Path("drop.txt").write_text("\n".join(names[::4]))
    run = train("runs", data="data", exclude="drop.txt")
    result = cli("evaluate", "--checkpoint", run, "--split", "all", "--format", "json")
    assert json.loads(result.out)["images"] == 45 - len(names[::4])
    assert "left out, as in the run (--exclude): 12" in result.err
    assert cli("split", data, "--exclude", run / "excluded.csv").code == 0
    assert len(read("splits.csv")) == 45 - len(names[::4])
    # Another image in its place is a new one.
    shutil.copy(data / names[1], data / names[0])
    again = cli("evaluate", "--checkpoint", run, "--split", "all", "--format", "json")
    assert json.loads(again.out)["images"] == 45 - len(names[::4]) + 1


def test_a_run_goes_on_without_them_when_the_list_is_gone(data):
    Path("drop.txt").write_text("\n".join(names_in(data)[::4]))
    settings = {"data": "data", "exclude": "drop.txt", "epochs": 2}
    whole = train("whole", **settings)

    def stop(row):
        if row["epoch"] == 1:
            raise InterruptedError

    config = RunConfig(output="half", model="lenet5", device="cpu", precision="fp32", **settings)
    with pytest.raises(InterruptedError):
        train_run(config, SilentReporter(), stop)
    (half,) = Path("half").iterdir()
    Path("drop.txt").unlink()
    resume_run(half, SilentReporter())
    for name in ("splits.csv", "excluded.csv", "report.json"):
        assert (half / name).read_bytes() == (whole / name).read_bytes()


def test_a_table_is_a_list_too(cli, data):
    """What ``suspect-labels --format csv`` prints, whatever its file is called."""
    names = names_in(data)
    rows = [f"{name},0,1,-0.5" for name in names[:3]]
    for name in ("s.csv", "s.txt"):
        Path(name).write_text("\n".join(["path,given,proposed,margin", *rows]))
        assert cli("split", data, "--exclude", name, "--force").code == 0
        assert {row["path"] for row in read("splits.csv")} == set(names[3:])


def test_a_file_of_splits_may_still_name_them(cli, data):
    """And a run's splits without its list are refused with the list's name."""
    names = names_in(data)
    assert cli("split", data, "--output", "all.csv").code == 0
    Path("drop.txt").write_text(names[0])
    run = train("runs", data="data", splits="all.csv", exclude="drop.txt")
    rows = read(run / "splits.csv")
    assert rows == [row for row in read("all.csv") if row["path"] != names[0]]
    result = cli("train", data, *FLAGS, "--splits", run)
    assert result.code == 2
    assert f"its run left images out: --exclude {run / 'excluded.csv'}" in result.error
    assert cli("split", data, "--exclude", "drop.txt", "--output", "few.csv").code == 0
    assert len(read("few.csv")) == 44


def test_check_datas_list_is_taken(cli, data):
    names = names_in(data)
    shutil.copy(data / names[0], data / "0" / "copy.png")
    assert cli("check-data", data, "--fix-list", "drop.txt", "--no-cache").code in (0, 3)
    assert Path("drop.txt").read_text().splitlines()
    result = cli("split", data, "--exclude", "drop.txt")
    assert (result.code, len(read("splits.csv"))) == (0, 45)
    Path("none.txt").write_text("\n")
    result = cli("split", data, "--exclude", "none.txt", "--force")
    assert (result.code, len(read("splits.csv"))) == (0, 46)
    assert "none.txt: names no image, so none is left out" in result.err


def test_check_data_looks_at_what_is_left(cli, data):
    (data / "0" / "bad.png").write_text("no image")
    assert cli("check-data", data, "--fix-list", "drop.txt", "--no-cache").code == 3
    again = cli("check-data", data, "--exclude", "drop.txt", "--no-cache", "--format", "json")
    assert "left out by --exclude drop.txt: " in again.err
    found = json.loads(again.out)
    assert not any(each["kind"] == "unreadable" for each in found["findings"])
    before = Path("drop.txt").read_text()
    Path("more.txt").write_text(f"{before}no-such.png\n")
    more = cli("check-data", data, "--exclude", "more.txt", "--no-cache", "--format", "json")
    odd = "--exclude more.txt: 1 of its 2 lines is no image of --data (no-such.png)"
    assert f"Warning: {odd}\n" in more.err
    assert odd in [each["text"] for each in json.loads(more.out)["findings"]]
    flags = ("--exclude", "drop.txt", "--fix-list", "./drop.txt")
    result = cli("check-data", data, *flags)
    assert (result.code, "is the list of --exclude" in result.error) == (2, True)
    assert Path("drop.txt").read_text() == before


def test_a_sample_of_several_files_goes_as_a_whole(cli, data):
    names = names_in(data)
    pairs = zip(names[:-1:2], names[1::2], strict=True)
    rows = [f"data/{one},data/{other},{one[0]}" for one, other in pairs]
    Path("t.csv").write_text("\n".join(["image_1,image_2,label", *rows]))
    Path("drop.txt").write_text(f"data/{names[0]}")
    result = cli("split", "t.csv", "--exclude", "drop.txt")
    assert result.code == 0
    assert len(read("splits.csv")) == len(rows) - 1


def test_a_file_of_two_samples_leaves_out_both(cli, data):
    first, second, third = (f"data/{name}" for name in names_in(data)[:3])
    ones = sorted(Path("data/1").glob("*.png"))[:4]
    rows = [f"{first},{second},0", f"{first},{third},0", f"{second},{third},0"]
    rows += [f"{one},{two},1" for one, two in pairwise(ones)]
    Path("t.csv").write_text("\n".join(["image_1,image_2,label", *rows]))
    for line in (first, str(Path(first).absolute())):
        Path("drop.txt").write_text(line)
        result = cli("split", "t.csv", "--exclude", "drop.txt", "--force")
        assert "left out by --exclude drop.txt: 2 of 6 images" in result.err


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("no.txt", None, "--exclude no.txt: no such file"),
        ("data", None, "--exclude data: a folder, and no list"),
        ("/dev/zero", None, "--exclude /dev/zero: cannot be read (a device"),
        (
            "x.txt",
            b"a.png\nb.png\n",
            "none of its 2 lines is an image of --data (the first line is",
        ),
        ("x.csv", b"file,label\na.png,1\n", "has no column path; it has file, label"),
        ("x.txt", b"\xff\xd8\xff\xe0", "not a text in UTF-8; write one path a line"),
        ("x.txt", "CLASS", "leaves no image of class '1'"),
    ],
)
def test_bad_lists_are_one_line(cli, data, name, content, why):
    if content == "CLASS":
        content = "\n".join(n for n in names_in(data) if n.startswith("1/")).encode()
    if content is not None:
        Path(name).write_bytes(content)
    result = cli("split", data, "--exclude", name)
    assert result.code == 2
    assert why in result.error
    assert not Path("splits.csv").exists()
    assert cli("train", data, *FLAGS, "--exclude", name).code == 2
    assert not Path("runs").exists()
