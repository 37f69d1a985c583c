"""Submissions in the form of a sample, as competitions hand one out; and tables as inputs."""

import csv
import shutil
from pathlib import Path

import pytest
from helpers import train, write_digits

NAMES = ["one", "two", "zero"]


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Return a folder with ``runs/``, in which a run lies whose classes are numbers."""
    root = tmp_path_factory.mktemp("graded")
    write_digits(root / "data", per_class=15, names=("0", "1", "2"))
    train(root / "runs", data=str(root / "data"))
    return root


@pytest.fixture
def test_images(folder_data, tmp_path):
    """Return a folder of twelve images whose names are ids."""
    folder = tmp_path / "test_images"
    folder.mkdir()
    for number, path in enumerate(sorted(folder_data.glob("*/*.png"))[::8]):
        shutil.copy(path, folder / f"t{number:02d}.png")
    return folder


def write(path, header, rows, delimiter=","):
    with Path(path).open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


def read(path, delimiter=","):
    with Path(path).open(newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def ask(cli, run, images, sample, output, *flags):
    return cli(
        *("predict", images, "--checkpoint", run, "--sample-submission", sample),
        *("--output", output, *flags),
    )


def predictions(cli, run, images):
    """Return label and probabilities of each image by its id, as predict prints them."""
    result = cli("predict", images, "--checkpoint", run, "--probabilities", "--format", "csv")
    return {Path(row["path"]).stem: row for row in csv.DictReader(result.out.splitlines())}


def mixed(folder):
    """Return the ids of a folder's images in an order that is not theirs."""
    ids = sorted(path.stem for path in folder.glob("*.png"))
    return ids[1::2] + ids[::2]


def test_class_names_in_the_samples_order(cli, run_dir, test_images, tmp_path):
    """``image_id,label``: names as the sample has them, ids without ending, in its order."""
    ids = mixed(test_images)
    sample = write(tmp_path / "sample.csv", ("image_id", "label"), [(n, "zero") for n in ids])
    result = ask(cli, run_dir, test_images, sample, tmp_path / "out.csv")
    assert (result.code, result.out) == (0, "")
    expected = predictions(cli, run_dir, test_images)
    assert read(tmp_path / "out.csv") == [
        ["image_id", "label"],
        *([name, expected[name]["label"]] for name in ids),
    ]
    assert len({row["label"] for row in expected.values()}) > 1
    assert f"{len(ids)} answers for {len(ids)} ids" in result.err


def test_a_column_per_class(cli, run_dir, test_images, tmp_path):
    """``image,zero,one,two``: probabilities, in the sample's order of columns, ids with endings."""
    ids = mixed(test_images)
    rows = [(f"{name}.png", 0.33, 0.33, 0.33) for name in ids]
    sample = write(tmp_path / "sample.csv", ("image", "zero", "one", "two"), rows, ";")
    assert ask(cli, run_dir, test_images, sample, tmp_path / "out.csv").code == 0
    header, *rows = read(tmp_path / "out.csv", ";")
    assert header == ["image", "zero", "one", "two"]
    expected = predictions(cli, run_dir, test_images)
    for name, row in zip(ids, rows, strict=True):
        assert row[0] == f"{name}.png"
        for cell, of in zip(row[1:], ("zero", "one", "two"), strict=True):
            assert float(cell) == float(expected[name][f"probability_{of}"])


def test_numbers_of_classes(cli, run_dir, graded, test_images, tmp_path):
    """``Id,Predicted``: numbers are places among named classes, or classes that are numbers."""
    ids = mixed(test_images)
    sample = write(tmp_path / "sample.csv", ("Id", "Predicted"), [(name, 0) for name in ids])
    result = ask(cli, run_dir, test_images, sample, tmp_path / "out.csv")
    assert "column 'Predicted' gets the classes' numbers: 0 one, 1 two, 2 zero" in result.err
    expected = predictions(cli, run_dir, test_images)
    numbers = [str(NAMES.index(expected[name]["label"])) for name in ids]
    assert [row[1] for row in read(tmp_path / "out.csv")[1:]] == numbers

    (run,) = (graded / "runs").iterdir()
    sample = write(tmp_path / "s.csv", ("id_code", "diagnosis"), [(name, 7) for name in ids])
    assert ask(cli, run, test_images, sample, tmp_path / "out.csv").code == 0
    expected = predictions(cli, run, test_images)
    assert [row[1] for row in read(tmp_path / "out.csv")[1:]] == [
        expected[name]["label"] for name in ids
    ]


def test_what_has_no_partner_is_listed(cli, run_dir, test_images, tmp_path):
    """An id without an image, an image without an id, one that cannot be read: cells stay empty."""
    ids = mixed(test_images)
    (test_images / f"{ids[0]}.png").write_text("no image")
    rows = [(name, "zero") for name in [*ids[:-1], "gone"]]
    sample = write(tmp_path / "sample.csv", ("image_id", "label"), rows)
    result = ask(cli, run_dir, test_images, sample, tmp_path / "out.csv")
    assert result.code == 3
    assert "1 id has no image; the cells are left empty: gone" in result.err
    assert f"1 image has no id: {test_images / ids[-1]}.png" in result.err
    assert f"1 image cannot be read; the cells are left empty: {test_images / ids[0]}" in result.err
    _, first, *others, last = read(tmp_path / "out.csv")
    assert (first, last) == ([ids[0], ""], ["gone", ""])
    assert all(row[1] in NAMES for row in others)


@pytest.mark.parametrize(
    ("header", "rows", "why"),
    [
        (("id", "label"), [("a", "one"), ("b", "one"), ("a", "two")], "line 4: id 'a' stands in"),
        (("id", "label"), [("", "one")], "line 2: the id is empty"),
        (("label", "score"), [("one", 1), ("one", 2)], "no column can be the id; it has label"),
        (("id",), [("a",)], "has the column 'id' alone"),
        (("id", "one", "two", "three"), [("t00", 0, 0, 0)], "column 'three' is no class"),
        (("id", "one", "two"), [("t00", 0, 0)], "no column for the class zero"),
        (("id", "label"), [("t00", "ones")], "'ones' in column 'label' is no class; the network"),
        (("id", "label"), [("t00", 3)], "3 in column 'label' is no class; the network knows one"),
        (("id", "label"), [("x", "one")], "none of its 1 ids is the name of an image given"),
        (("id", "label"), [], "no rows below the header"),
    ],
)
def test_bad_samples_are_one_line(cli, run_dir, test_images, tmp_path, header, rows, why):
    sample = write(tmp_path / "sample.csv", header, rows)
    result = ask(cli, run_dir, test_images, sample, tmp_path / "out.csv")
    assert result.code == 2
    assert f"--sample-submission {sample}" in result.error
    assert why in result.error
    assert not (tmp_path / "out.csv").exists()


def test_bad_flags_are_one_line(cli, run_dir, test_images, tmp_path):
    sample = write(tmp_path / "sample.csv", ("id", "label"), [("t00", "one")])
    out = tmp_path / "out.csv"
    for flags, why in (
        (("--output", out), "the rows go to stdout; write them with > FILE.csv"),
        (("--sample-submission", sample), "name the file to write with --output"),
        (("--sample-submission", sample, "--output", sample), "would write over the sample"),
        (("--sample-submission", tmp_path / "no.csv", "--output", out), "no such file"),
        (
            ("--sample-submission", sample, "--output", out, "--top-k", 2),
            "--top-k: has no effect with --sample-submission",
        ),
        (
            ("--sample-submission", sample, "--output", out, "--abstain-below", 0.9),
            "--abstain-below: has no effect with --sample-submission",
        ),
        (
            ("--sample-submission", sample, "--output", out, "--image-col", "Id"),
            "it has id, label; did you mean id?",
        ),
    ):
        result = cli("predict", test_images, "--checkpoint", run_dir, *flags)
        assert result.code == 2
        assert why in result.err.splitlines()[-1]


def test_leading_zeros_that_excel_took_are_told(cli, run_dir, test_images, tmp_path):
    for path in list(test_images.iterdir()):
        path.rename(path.with_name(f"0{path.name[1:]}"))
    sample = write(tmp_path / "sample.csv", ("id", "label"), [(1, "one"), (2, "one")])
    result = ask(cli, run_dir, test_images, sample, tmp_path / "out.csv")
    assert "leading zeros differ, which Excel takes away" in result.error


def test_two_images_of_one_id_are_refused(cli, run_dir, test_images, tmp_path):
    (test_images / "more").mkdir()
    shutil.copy(test_images / "t00.png", test_images / "more")
    sample = write(tmp_path / "sample.csv", ("id", "label"), [("t00", "one")])
    result = ask(cli, run_dir, test_images, sample, tmp_path / "out.csv")
    assert "id 't00' is ambiguous" in result.error
    sample = write(tmp_path / "sample.csv", ("id", "label"), [("more/t00", "one")])
    assert ask(cli, run_dir, test_images, sample, tmp_path / "out.csv").code == 3
    assert read(tmp_path / "out.csv")[1][1] in NAMES


def test_a_table_names_the_inputs(cli, run_dir, test_images, tmp_path):
    """Ids are looked up below the table, in its order; labels are not read, not even odd ones."""
    ids = mixed(test_images)
    table = write(tmp_path / "test.csv", ("id_code", "label"), [(name, "") for name in ids])
    result = cli("predict", table, "--checkpoint", run_dir, "--format", "csv")
    assert result.code == 0
    rows = list(csv.DictReader(result.out.splitlines()))
    assert [row["path"] for row in rows] == [str(test_images / f"{name}.png") for name in ids]
    expected = predictions(cli, run_dir, test_images)
    assert [row["label"] for row in rows] == [expected[name]["label"] for name in ids]
    assert f"{table}: 12 images of column id_code" in result.err
    sample = write(tmp_path / "sample.csv", ("id", "label"), [(name, "one") for name in ids])
    assert ask(cli, run_dir, table, sample, tmp_path / "out.csv").code == 0
    assert ask(cli, run_dir, sample, sample, tmp_path / "out2.csv").code == 0
    other = write(tmp_path / "other.csv", ("label", "scan"), [("", name) for name in ids])
    flags = ("--image-col", "scan")
    assert ask(cli, run_dir, other, sample, tmp_path / "out3.csv", *flags).code == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "out3.csv").read_bytes()
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "out2.csv").read_bytes()


def test_a_lost_image_of_a_table_has_its_row(cli, run_dir, test_images, tmp_path):
    rows = [("a", "t00"), ("b", "nosuch"), ("c", "test_images/t01.png"), ("d", "/no/where.png")]
    table = write(tmp_path / "list.tsv", ("who", "scan"), rows, "\t")
    result = cli("predict", table, "--image-col", "scan", "--checkpoint", run_dir)
    assert result.code == 3
    found = list(csv.DictReader(result.out.splitlines()))
    assert [bool(row["error"]) for row in found] == [False, True, False, True]
    assert [Path(row["path"]).name for row in found] == [
        "t00.png",
        "nosuch",
        "t01.png",
        "where.png",
    ]


@pytest.mark.parametrize(
    ("lines", "flags", "why"),
    [
        ("who,age\nx,3\n", (), "name the column with --image-col; it has who, age"),
        ("who,age\nx,3\n", ("--image-col", "scan"), "has no such column; it has who, age"),
        ("test_images/t00.png\ntest_images/t01.png\n", (), "a list of paths goes to stdin"),
        ("path,label\n,one\n", (), "line 2: column 'path' is empty"),
        ("path\n", (), "no rows below the header"),
        ("", (), "it is empty"),
        ("image_1,image_2\nt00,t01\n", (), "2 columns of images (image_1, image_2), and a sample"),
    ],
)
def test_bad_tables_are_one_line(cli, run_dir, test_images, tmp_path, lines, flags, why):
    table = tmp_path / "table.csv"
    table.write_text(lines)
    result = cli("predict", table, *flags, "--checkpoint", run_dir)
    assert result.code == 2
    assert why in result.error
    assert result.out == ""
