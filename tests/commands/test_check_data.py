"""``check-data``: planted faults are found, clean data are passed, real sets get what they have."""

import csv
import io
import json
import shutil
import subprocess

import pytest
from helpers import SHARED_DATA, write_digits

needs_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=f"no {SHARED_DATA}")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Keep the cache in a folder that is gone after the test."""
    folder = tmp_path / "cache of mine"
    monkeypatch.setenv("CNNCLI_CACHE", str(folder))
    return folder


@pytest.fixture
def data(tmp_path):
    """Return a clean set: two classes of 20 real digits in train and 10 in val."""
    root = tmp_path / "données"
    for split, count, start in (("train", 20, 0), ("val", 10, 20)):
        write_digits(root / split, ("3", "8"), count, names=("drei", "acht"), start=start)
    return root


def check(cli, *args, code=3):
    """Return the JSON of a check, and its findings by kind."""
    result = cli("check-data", *args)
    assert result.code == code, result.err
    report = json.loads(result.out)
    assert report["spoiled"] == (code == 3)
    return report, {finding["kind"]: finding for finding in report["findings"]}


def first(folder):
    return sorted(folder.glob("*"))[0]


def test_clean_digits_raise_no_alarm(cli):
    report, found = check(cli, "digits", code=0)
    assert found == {}
    assert report["shortcuts"] == []
    assert report["files"]["images"] == report["files"]["readable"] == 1797
    assert report["files"]["formats"] == {"PNG": 1797}
    assert sum(row["images"] for row in report["classes"]) == 1797
    assert cli("check-data", "digits", "--format", "table").out.endswith("\nnothing found\n")


def test_a_clean_folder_raises_no_alarm(cli, data):
    report, found = check(cli, data, code=0)
    assert found == {}
    assert report["classes"] == [
        {"class": "acht", "train": 20, "val": 10, "images": 30},
        {"class": "drei", "train": 20, "val": 10, "images": 30},
    ]


def test_csv_columns_groups_and_splits(cli, data, tmp_path):
    paths = sorted((data / "train").rglob("*.png"))
    table = tmp_path / "table.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("picture", "what", "part", "patient"))
        for number, path in enumerate(paths):
            row = path.relative_to(tmp_path), path.parent.name, ("train", "val")[number % 2]
            writer.writerow((*row, f"p{number // 4}"))
    flags = ("--image-col", "picture", "--label-col", "what", "--split-col", "part")
    _, found = check(cli, table, *flags, code=0)
    assert "column 'patient' has 10 values for 40 images" in found["shared-ids"]["text"]
    _, found = check(cli, table, *flags, "--group-col", "patient")
    assert len(found["group-leak"]["groups"]) == 10


def test_the_splits_of_a_run_are_checked(cli, data, tmp_path):
    one = first(data / "train" / "drei")
    shutil.copy(one, one.with_name("copy.png"))
    shutil.move(data / "val", tmp_path / "unused")
    pool = data / "train"
    splits = tmp_path / "splits.csv"
    rows = ["path,split"]
    for number, path in enumerate(sorted(pool.rglob("*.png"))):
        split = "val" if path.name == "copy.png" or number % 10 == 5 else "train"
        rows.append(f"{path.parent.name}/{path.name},{split}")
    splits.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert "duplicates" in check(cli, pool, code=0)[1]
    _, found = check(cli, pool, "--splits", splits)
    assert found["leak"]["drop"] == [f"drei/{one.name}"]


def test_the_fix_list_mends_what_it_can(cli, data, tmp_path):
    one, other = first(data / "val" / "drei"), first(data / "train" / "acht")
    shutil.copy(one, data / "train" / "drei" / "leak é.png")
    shutil.copy(other, data / "train" / "drei" / other.name)
    (data / "train" / "acht" / "cut.png").write_bytes(other.read_bytes()[:50])
    listed = tmp_path / "drop.txt"
    result = cli("check-data", data, "--fix-list", listed)
    assert result.code == 3
    assert result.err.splitlines()[-1] == f"{listed}: 4 files to leave out"
    assert sorted(listed.read_text("utf-8").splitlines()) == [
        f"train/acht/{other.name}",
        "train/acht/cut.png",
        f"train/drei/{other.name}",
        "train/drei/leak é.png",
    ]
    remove = f"xargs -d '\\n' rm -- < '{listed}'"
    subprocess.run(remove, shell=True, check=True, cwd=data)
    assert check(cli, data, "--fix-list", listed, code=0)[1] == {}
    assert listed.read_text("utf-8") == ""


def test_copies_are_named_with_their_twins(cli, data):
    one = first(data / "train" / "drei")
    for number in range(2, 7):
        file = sorted((data / "train" / "acht").iterdir())[number]
        shutil.copy(file, file.with_name(f"z{number}.png"))
    shutil.copy(one, data / "train" / "acht" / "twin.png")
    out = cli("check-data", data, "--format", "table").out
    assert f"\n  train/acht/twin.png = train/drei/{one.name}\n" in out
    assert out.count(" = train/") == 4
    assert "\n  and 2 more pictures\n" in out
    assert "all files: --format csv; files to leave out: --fix-list FILE" in out


def test_a_folder_without_class_folders(cli, data):
    folder = data / "train" / "drei"
    shutil.copy(first(folder), folder / "copy.png")
    (folder / "cut.png").write_bytes(first(folder).read_bytes()[:50])
    report, found = check(cli, folder)
    assert set(found) == {"duplicates", "unreadable"}
    assert found["duplicates"]["groups"] == [[first(folder).name, "copy.png"]]
    assert report["classes"] == [{"class": "(no class)", "images": 22}]
    assert "has no class folders" in cli("check-data", folder).err
    assert "22 images lie in no class folder" in cli("train", folder).error
    (folder / "labels.csv").write_text("a,b\n1,2\n", encoding="utf-8")  # may be the labels
    assert cli("check-data", folder).code == 2


def test_many_paths_are_counted(cli, data):
    paths = sorted((data / "train" / "drei").iterdir())
    result = cli("check-data", *paths, "--no-cache")
    assert result.code == 2
    assert "20 paths where one is taken" in result.error
    assert paths[2].name not in result.error
    assert "give the folder" in result.error


def test_csv_has_a_row_per_image(cli, data):
    one = first(data / "train" / "drei")
    shutil.copy(one, data / "train" / "acht" / one.name)
    shutil.rmtree(data / "val" / "acht")
    result = cli("check-data", data, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert result.code == 3
    told = [(row["severity"], row["kind"], row["path"], row["drop"]) for row in rows]
    assert told == [
        ("spoils", "contradiction", f"train/acht/{one.name}", "yes"),
        ("spoils", "contradiction", f"train/drei/{one.name}", "yes"),
        ("spoils", "missing-class", "", ""),
    ]


def test_the_table_says_what_spoils_first(cli, data):
    one = first(data / "train" / "drei")
    shutil.copy(one, one.with_name("copy.png"))
    (data / "val" / "drei" / "bad.png").write_bytes(b"")
    result = cli("check-data", data, "--format", "table")
    spoils = result.out.index("spoils a result  1 image cannot be read: is empty")
    assert spoils < result.out.index("worth knowing    1 picture more than once in a class")
    assert "val/drei/bad.png" in result.out


def test_the_table_of_a_set_without_a_readable_image(cli, tmp_path):
    (tmp_path / "bad" / "a").mkdir(parents=True)
    (tmp_path / "bad" / "a" / "x.png").write_bytes(b"")
    result = cli("check-data", tmp_path / "bad", "--format", "table")
    assert result.code == 3
    assert "x.png" in result.out


def test_no_cache_leaves_none(cli, data, cache_folder):
    check(cli, data, "--no-cache", code=0)
    assert not cache_folder.exists()
    check(cli, data, code=0)
    assert cache_folder.exists()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("nosuch",), "--data nosuch: no such file or folder"),
        (("digits", "--group-col", "a", "--group-regex", "b"), "group"),
        (("digits", "--group-col", "patient"), "no CSV and has no columns"),
        (("digits", "--group-regex", "("), "not a regular expression"),
        (
            ("digits", "--fix-list", "no/such/folder/x"),
            "--fix-list no/such/folder/x: there is no folder",
        ),
        (("digits", "--fold", "1"), "--fold"),
    ],
)
def test_mistakes_are_one_line(cli, args, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("check-data", *args)
    assert result.code == 2
    assert expected in result.error


def test_an_empty_folder_is_told(cli, tmp_path):
    assert "no images found" in cli("check-data", tmp_path).error


def test_a_closed_pipe_is_no_failure(data, tmp_path):
    done = subprocess.run(
        f"set -o pipefail; cnncli check-data '{data}' --format csv --fix-list '{tmp_path}/fix'"
        " | true",  # a reader that is gone before the answer
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert (tmp_path / "fix").exists()


def test_train_warns_of_what_it_need_not_decode(cli, data, tmp_path):
    one, other = first(data / "val" / "drei"), first(data / "train" / "drei")
    shutil.copy(one, data / "train" / "drei" / "leak.png")
    shutil.copy(other, data / "val" / "acht" / "wrong.png")
    flags = ("--model", "lenet5", "--epochs", "1", "--device", "cpu", "--output", tmp_path / "runs")
    result = cli("train", "--data", data, *flags)
    assert result.code == 0, result.err
    assert (
        "Warning: 1 picture in several splits (the same pixels): 1 in train and val" in result.err
    )
    assert "Warning: 1 picture with contradicting labels" in result.err
    assert "cnncli check-data says more, and names the images" in result.err


def test_train_says_nothing_of_clean_data(cli, data, tmp_path):
    flags = ("--model", "lenet5", "--epochs", "1", "--device", "cpu", "--output", tmp_path / "runs")
    result = cli("train", "--data", data, *flags)
    assert result.code == 0
    assert "Warning" not in result.err
    assert "check-data" not in result.err


@needs_data
def test_xray_sample(cli):
    report, found = check(cli, SHARED_DATA / "xray-sample")
    text = found["shortcut"]["text"]
    assert text.startswith("Covid-19 can be told from the rest by format and mode alone (30 of 30)")
    assert {s["target"] for s in report["shortcuts"]} == {"Covid-19"}
    assert report["told_by_nothing"] == ["No_findings", "Pneumonia"]
    ids = found["shared-ids"]
    assert "3 ids each begin the names of two files (00001689, 00003140, 00011632)" in ids["text"]
    assert [len(group) for group in ids["groups"]] == [2, 2, 2]
    assert found["stored-in-colour"]["text"] == (
        "26 images of 90 stored in colour or with alpha, 19 of them grey to look at"
    )
    assert set(found) == {"shortcut", "shared-ids", "stored-in-colour"}
    table = cli("check-data", SHARED_DATA / "xray-sample", "--format", "table").out
    assert table.endswith(
        "cannot be told apart by file properties (good): No_findings, Pneumonia\n"
    )


@needs_data
def test_defects(cli):
    report, found = check(cli, SHARED_DATA / "defects", code=0)
    assert report["shortcuts"] == []
    assert set(found) == {"duplicates", "stored-in-colour"}
    pairs = [[path.split("/")[1] for path in group] for group in found["duplicates"]["groups"]]
    assert pairs == [  # looked at by eye: the same spots of steel, and one file twice
        ["inclusion_125.jpg", "inclusion_88.jpg"],
        ["inclusion_188.jpg", "inclusion_210.jpg"],
        ["patches_101.jpg", "patches_105.jpg"],
        ["patches_2.jpg", "patches_5.jpg"],
        ["pitted_surface_171.jpg", "pitted_surface_292.jpg"],
    ]


@needs_data
def test_ants_bees(cli):
    report, found = check(cli, SHARED_DATA / "ants-bees", code=0)
    assert report["shortcuts"] == []
    assert set(found) == {"odd-format", "placeholder"}
    assert found["odd-format"]["text"] == "1 GIF among 397 JPEG"
    assert found["placeholder"]["drop"] == ["train/ants/imageNotFound.gif"]
