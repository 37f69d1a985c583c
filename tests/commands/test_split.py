"""``cnncli split``, ``sample-data`` and ``--splits``: a split written down and taken up again."""

import csv
import unicodedata

import cv2
import numpy as np
import pytest
from helpers import train, write_digits

from cnncli.choices import SPLITS
from cnncli.config import RunConfig
from cnncli.data.find_samples import find_samples
from cnncli.data.split_match import apply_split_file
from cnncli.data.splits import TEST, TRAIN, VAL
from cnncli.data.store import hash_files
from cnncli.errors import CnncliError
from cnncli.reporting import SilentReporter
from cnncli.run.samples import gather_samples


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return a folder of three classes, 20 images each; the working folder is beside it."""
    write_digits(tmp_path / "data", per_class=20)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def splits_of(path):
    return {row["path"]: row["split"] for row in read(path)}


def test_the_file_is_what_a_run_would_write(cli, data, tmp_path):
    result = cli("split", data, "--output", "s.csv", "--seed", 3)
    assert (result.code, result.out) == (0, "s.csv\n")
    rows = read(tmp_path / "s.csv")
    samples, splits = gather_samples(RunConfig(data=str(data), seed=3), SilentReporter())
    assert [row["path"] for row in rows] == samples.paths.tolist()
    assert [row["split"] for row in rows] == [("train", "val", "test")[n] for n in splits]
    for row in rows:
        content = (data / row["path"]).read_bytes()
        assert int(row["bytes"]) == len(content)
        assert row["hash"] == hash_files((content,))
        assert row["label"] == row["path"][0]
    assert list(rows[0]) == ["path", "label", "split", "group", "bytes", "hash"]


def test_the_table_counts_classes_and_splits(cli, data):
    lines = cli("split", data).err.splitlines()
    assert lines[0].split() == ["60", "images"]
    cells = [line.split() for line in lines if line.strip()]
    assert ["class", "train", "val", "test"] in cells
    assert ["0", "14", "3", "3"] in cells
    assert ["all", "42", "9", "9"] in cells


def test_nothing_is_written_over_without_force(cli, data, tmp_path):
    (tmp_path / "splits.csv").write_text("mine")
    assert (
        cli("split", data).error == "--output splits.csv: is there already; --force writes over it"
    )
    assert (tmp_path / "splits.csv").read_text() == "mine"
    assert cli("split", data, "--force").code == 0
    assert len(read(tmp_path / "splits.csv")) == 60
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--output", "no/such/s.csv"], "--output no/such/s.csv: there is no folder"),
        (["--output", "data"], "--output data: is a folder; name a file in it"),
        (["--folds", 18], "--folds 18: no class has more than 17 images"),
        (["--folds", 3, "--val-fraction", 0.2], "--val-fraction: each of the --folds is val once"),
        (["--val-fraction", 2], "--val-fraction 2.0: "),
        (["--group-col", "patient"], "--group-col patient: --data data is no CSV"),
        (["--group-regex", "("], "--group-regex '(': not a regular expression"),
    ],
)
def test_mistakes_are_told(cli, data, args, why, tmp_path):
    result = cli("split", "data", *args)
    assert result.code == 2
    assert result.error.startswith(why)
    assert not (tmp_path / "splits.csv").exists()


def test_folds_are_stratified_and_test_is_in_none(cli, data):
    assert cli("split", data, "--folds", 4, "--output", "f.csv").code == 0
    rows = read("f.csv")
    test = [row for row in rows if row["split"] == "test"]
    assert len(test) == 9
    assert {row["fold"] for row in test} == {""}
    for fold in "1234":
        labels = [row["label"] for row in rows if row["fold"] == fold]
        counts = np.unique(labels, return_counts=True)[1]
        assert len(counts) == 3
        assert set(counts.tolist()) <= {4, 5}  # 17 of each class in 4 folds
    assert {row["split"] for row in rows if row["fold"]} == {"train"}


# --splits


def gather(data, **settings):
    samples, splits = gather_samples(RunConfig(data=str(data), **settings), SilentReporter())
    return dict(zip(samples.paths.tolist(), splits.tolist(), strict=True)), samples


def refused(data, **settings):
    with pytest.raises(CnncliError) as caught:
        gather(data, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_fold_is_val_and_the_others_are_trained_on(cli, data):
    cli("split", data, "--folds", 3, "--output", "f.csv")
    rows = {row["path"]: row for row in read("f.csv")}
    for fold in (1, 2, 3):
        found, _ = gather(data, splits="f.csv", fold=fold)
        for path, split in found.items():
            own = rows[path]["fold"]
            assert split == (TEST if not own else VAL if own == str(fold) else TRAIN)
    assert (
        refused(data, splits="f.csv") == "--splits f.csv: has folds; name one with --fold, 1 to 3"
    )
    assert refused(data, splits="f.csv", fold=4) == "--fold 4: f.csv has folds 1 to 3"


def test_runs_share_a_split(cli, data, tmp_path):
    cli("split", data, "--output", "s.csv", "--seed", 5)
    run = train(tmp_path / "runs", data=str(data), splits="s.csv", seed=1)
    again, _ = gather(data, splits=str(run), seed=2)
    names = {path: ("train", "val", "test")[split] for path, split in again.items()}
    assert splits_of("s.csv") == splits_of(run / "splits.csv") == names


def test_what_a_run_left_out_has_no_split_in_the_next(cli, data, tmp_path):
    lost = sorted(data.rglob("*.png"))[::25]
    for path in lost:
        path.write_bytes(b"")
    lost[0].unlink()
    lost[0].symlink_to("nowhere.png")
    names = {path.relative_to(data).as_posix() for path in lost}
    first = train(tmp_path / "runs", data=str(data), epochs=1, on_bad_image="skip")
    run = train(tmp_path / "runs", data=str(data), epochs=1, splits=str(first), seed=9)
    assert splits_of(run / "splits.csv") == splits_of(first / "splits.csv")
    assert len(splits_of(run / "splits.csv")) == 60 - len(names) == 57
    assert {row["path"] for row in read(run / "bad_images.csv")} == names
    said = cli("check-data", data, "--splits", run, "--format", "json")
    assert "left out, as in the run of --splits: 3" in said.err
    # Another unreadable image is news, and so is one that the list does not name.
    (data / "0" / "new.png").write_bytes(b"")
    with pytest.raises(CnncliError, match=r"1 of the 61 images of --data are .* \(0/new.png"):
        apply_split_file(find_samples(str(data)), str(run), None, threads=1)
    (first / "bad_images.csv").unlink()
    with pytest.raises(CnncliError, match="4 of the 61 images of --data are not in it"):
        apply_split_file(find_samples(str(data)), str(first), None, threads=1)


def test_splits_without_folds_take_no_fold(cli, data):
    cli("split", data)
    assert refused(data, splits="splits.csv", fold=1).startswith(
        "--fold 1: splits.csv has no folds"
    )
    assert cli("train", "--data", data, "--fold", 1).error.startswith("--fold")
    assert "one of them" in cli("train", "--data", data, "--splits", "x", "--split-col", "y").error


def test_images_that_are_not_those_of_the_file_are_counted(cli, data):
    cli("split", data)
    first, second = sorted((data / "0").iterdir())[:2]
    content = first.read_bytes()
    first.rename(data / "0" / "renamed.png")
    said = refused(data, splits="splits.csv")
    assert "1 of the 60 images of --data are not in it (0/renamed.png)" in said
    assert f"1 of the 60 images in it are not in --data (0/{first.name})" in said
    (data / "0" / "renamed.png").rename(first)
    assert len(gather(data, splits="splits.csv")[0]) == 60
    second.write_bytes(content)
    assert "1 of the 60 images are not the files they were" in refused(data, splits="splits.csv")


def test_other_content_of_the_same_size_is_noticed(data, tmp_path):
    image = np.zeros((8, 8), np.uint8)
    paths = [data / "0" / name for name in ("a.bmp", "b.bmp")]
    for number, path in enumerate(paths):
        assert cv2.imwrite(str(path), image + number)
    rows = [f"{p.relative_to(data)},train,{p.stat().st_size}," for p in sorted(data.rglob("*.*"))]
    digest = hash_files((paths[0].read_bytes(),))
    rows = [row + (digest if "/b.bmp" in row else "") for row in rows]
    (tmp_path / "s.csv").write_text("path,split,bytes,hash\n" + "\n".join(rows) + "\n")
    with pytest.raises(CnncliError, match=r"not the files they were \(0/b.bmp\)"):
        apply_split_file(find_samples(str(data)), str(tmp_path / "s.csv"), None, threads=1)


def test_a_file_by_hand_needs_path_and_split_only(data, tmp_path):
    paths = find_samples(str(data)).paths.tolist()
    parts = ["train", "Valid", "test"]
    lines = [f"{path},{parts[number % 3]}" for number, path in enumerate(paths)]
    (tmp_path / "s.csv").write_text("path,split\n" + "\n".join(reversed(lines)) + "\n")
    found, _ = gather(data, splits="s.csv")
    assert [found[path] for path in paths] == [number % 3 for number in range(60)]
    folds = [f"{path},{number % 4}" for number, path in enumerate(paths)]
    (tmp_path / "f.csv").write_text("path,fold\n" + "\n".join(folds) + "\n")
    found, _ = gather(data, splits="f.csv", fold=0)  # others count from 0
    assert [found[path] == VAL for path in paths] == [number % 4 == 0 for number in range(60)]


def test_words_of_folders_of_splits_are_read(data):
    words = ["Training", "dev", "Testing"]
    lines = [f"{p},{words[n % 3]}" for n, p in enumerate(paths_in(data))]
    (data.parent / "s.csv").write_text("path,split\n" + "\n".join(lines) + "\n")
    found, samples = gather(data, splits="s.csv")
    assert [found[path] for path in paths_in(data)] == [number % 3 for number in range(60)]
    assert samples.remarks == (
        "--splits s.csv: 'Training' is train, 'dev' is val, 'Testing' is test",
    )


def paths_in(data):
    return find_samples(str(data)).paths.tolist()


def rewrite(path, change):
    rows = read(path)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(change(row) for row in rows)


@pytest.mark.parametrize("command", ["train", "finetune", "check-data"])
def test_other_labels_than_in_the_file_are_told(cli, data, command):
    """The splits are those of the file, and the labels those of the data."""
    cli("split", data, "--folds", 3, "--output", "f.csv")
    wrong = paths_in(data)[7]
    rewrite("f.csv", lambda row: row | ({"label": "2"} if row["path"] == wrong else {}))
    told = (
        f"--splits f.csv: 1 of 60 images has another label now ({wrong}: '2' then, '0' now); its "
        "splits are taken, and the labels of --data"
    )
    flags = () if command == "check-data" else ("--device", "cpu", "--epochs", 1)
    model = {"train": ("--model", "lenet5"), "finetune": ("--model", "lenet5", "--weights", "none")}
    said = cli(command, data, "--splits", "f.csv", "--fold", 2, *flags, *model.get(command, ()))
    assert said.code == 0, said.err
    assert told in " ".join((said.err + said.out).split())
    _, samples = gather(data, splits="f.csv", fold=1)
    assert samples.class_names[samples.targets[7]] == "0"
    assert samples.notes == (told,)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("NFD", lambda path: unicodedata.normalize("NFC", path)),
        ("NFC", lambda path: unicodedata.normalize("NFD", path)),
        ("NFC", lambda path: path.replace("/", "\\")),
        ("NFC", lambda path: f"./{path}"),
        ("NFC", lambda path: path.replace("/", "/./")),
    ],
)
def test_a_path_may_be_written_in_another_way(cli, tmp_path, monkeypatch, here, there):
    monkeypatch.chdir(tmp_path)
    names = [unicodedata.normalize(here, name) for name in ("größe", "café", "z")]
    write_digits(tmp_path / "d", names=names)
    cli("split", tmp_path / "d")
    rows = {row["path"]: row["split"] for row in read("splits.csv")}
    rewrite("splits.csv", lambda row: row | {"path": there(row["path"])})
    _, samples = gather(tmp_path / "d", splits="splits.csv")
    got = {str(path): SPLITS[n] for path, n in zip(samples.paths, samples.splits, strict=True)}
    assert got == rows


def test_two_paths_that_would_be_one_are_not_matched(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_digits(tmp_path / "d", names=["a", "b", "c"])
    cli("split", tmp_path / "d")
    first = read("splits.csv")[0]["path"]
    with open("splits.csv", "a", encoding="utf-8") as file:
        file.write(f"./{first},,train,,,\n")
    other = {first: {"path": f".//{first}"}}
    rewrite("splits.csv", lambda row: row | other.get(row["path"], {}))
    with pytest.raises(CnncliError, match="1 of the 36 images of --data are not in it"):
        gather(tmp_path / "d", splits="splits.csv")


@pytest.mark.parametrize("label", ["{}", " {}", "{}.0", "{}.00", "", "\u200b{}"])
def test_labels_written_otherwise_and_missing_ones_are_no_others(cli, data, label):
    cli("split", data)
    rewrite("splits.csv", lambda row: row | {"label": label.format(row["label"])})
    assert gather(data, splits="splits.csv")[1].notes == ()


def test_an_image_in_another_class_folder_is_told(cli, data):
    cli("split", data)
    first = sorted((data / "0").iterdir())[0]
    first.rename(data / "2" / first.name)
    said = refused(data, splits="splits.csv")
    then, now = f"0/{first.name}", f"2/{first.name}"
    assert f"1 seems to have moved to another label ({then}, '0', is {now}, '2', now)" in said


def test_a_files_groups_come_with_it(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in write_digits(tmp_path / "d", per_class=20):
        path.rename(path.with_name(f"p{int(path.stem) // 40}_{path.name}"))
    assert cli("split", "d", "--group-regex", r"^(p\d+)_").code == 0
    _, samples = gather("d", splits="splits.csv")
    expected = [path.split("/")[1].split("_")[0] for path in samples.paths.tolist()]
    assert samples.groups.tolist() == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "needs the columns path and split"),
        ("image,split\na,train\n", "needs the columns path and split"),
        ("path,split\n", "names no image"),
        ("path,split\na,train\n\nb,val\na,test\n", "line 5: names an image twice: 'a' stands in"),
        ("path,split\na,train\n\nb,other\n", "line 4: split 'other' is none of train, val, test"),
        ("path,split\na\n", "line 2: 1 fields where the header has 2"),
        ("path,fold\na,x\n", "line 2: 'x' is no whole number"),
        ("path,fold,split\na,,\n", "line 2: split '' is none of"),
        ("path,split,bytes\na,train,1.5\n", "line 2: '1.5' is no whole number"),
        ("path,split,fold\na,test,2\n", "line 2: test, and in fold 2"),
    ],
)
def test_a_wrong_file_is_told(data, tmp_path, text, why):
    (tmp_path / "s.csv").write_text(text)
    said = refused(data, splits="s.csv")
    assert said.startswith("--splits s.csv")
    assert why in said


def test_a_missing_file_is_told(data):
    assert (
        refused(data, splits="no.csv") == "--splits no.csv: no such file; `cnncli split` writes one"
    )


# sample-data


def test_the_digits_as_files_are_the_digits(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("sample-data", "digits", "new/dir")
    assert (result.code, result.out, result.err) == (0, "new/dir\n", "")
    samples, embedded = find_samples("new/dir"), find_samples("digits")
    assert samples.class_names == embedded.class_names
    order = {path: number for number, path in enumerate(embedded.paths.tolist())}
    assert sorted(order) == samples.paths.tolist()
    for number, path in enumerate(samples.paths.tolist()):
        assert samples.source.read(number) == embedded.source.read(order[path])
    assert cli("sample-data", "digits", "new/dir").error == "new/dir: not empty; name a new folder"
    (tmp_path / "file").write_text("x")
    assert cli("sample-data", "digits", "file").error.startswith("file: cannot be written to")
