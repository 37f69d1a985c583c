"""``check-data``: planted faults are found, clean data are passed, real sets get what they have."""

import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys

import cv2
import numpy as np
import pytest
from helpers import SHARED_DATA, write_digits
from PIL import Image

from cnncli.audit import collect
from cnncli.audit.cache import VERSION, FactsCache, find_cache_folder, make_key
from cnncli.audit.collect import collect_facts
from cnncli.audit.file_facts import FileFacts
from cnncli.data.find_samples import find_samples

needs_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=f"no {SHARED_DATA}")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Keep looks where the test ends with them."""
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


def test_damaged_files_are_found(cli, data):
    whole = first(data / "train" / "drei").read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    jpeg = bytes(cv2.imencode(".jpg", noise)[1])
    bad = {
        "train/acht/cut.png": whole[: len(whole) // 2],
        "train/acht/cut.jpg": jpeg[: len(jpeg) // 2],
        "train/drei/empty.png": b"",
        "val/drei/text.jpg": b"<html>404</html>",
        "val/acht/flipped.png": whole[:60] + bytes([whole[60] ^ 255]) + whole[61:],
    }
    for name, content in bad.items():
        (data / name).write_bytes(content)
    report, found = check(cli, data)
    assert set(found) == {"unreadable"}
    assert {path for (path,) in found["unreadable"]["groups"]} == set(bad)
    assert set(found["unreadable"]["drop"]) == set(bad)
    assert "empty" in found["unreadable"]["reasons"]["train/drei/empty.png"]
    assert report["files"]["readable"] == 60


def test_nothing_readable_and_one_image_alone(cli, tmp_path):
    (tmp_path / "bad" / "a").mkdir(parents=True)
    (tmp_path / "bad" / "a" / "x.png").write_bytes(b"")
    report, found = check(cli, tmp_path / "bad")
    assert set(found) == {"unreadable", "few-images"}
    assert report["files"]["width"] is None
    assert "x.png" in cli("check-data", tmp_path / "bad", "--format", "table").out
    write_digits(tmp_path / "one", ("3",), 1)
    assert set(check(cli, tmp_path / "one", code=0)[1]) == {"few-images"}


def test_a_copy_in_another_split_is_a_leak(cli, data):
    one = first(data / "val" / "drei")
    shutil.copy(one, data / "train" / "drei" / "other name.png")
    report, found = check(cli, data)
    assert found["leak"]["groups"] == [["train/drei/other name.png", f"val/drei/{one.name}"]]
    assert found["leak"]["drop"] == ["train/drei/other name.png"]
    assert report["findings"][0]["severity"] == "spoils"


def test_the_same_picture_in_another_container_is_a_leak_too(cli, data):
    pixels = cv2.imread(str(first(data / "val" / "drei")), cv2.IMREAD_GRAYSCALE)
    assert cv2.imwrite(str(data / "train" / "drei" / "copy.bmp"), pixels)
    _, found = check(cli, data)
    assert found["leak"]["drop"] == ["train/drei/copy.bmp"]


def test_contradicting_labels_are_found(cli, data):
    one = first(data / "train" / "drei")
    shutil.copy(one, data / "train" / "acht" / one.name)
    _, found = check(cli, data)
    both = [f"train/acht/{one.name}", f"train/drei/{one.name}"]
    assert found["contradiction"]["groups"] == [both]
    assert found["contradiction"]["drop"] == both


def test_copies_within_a_class_are_worth_knowing(cli, data):
    one = first(data / "train" / "drei")
    shutil.copy(one, one.with_name("copy.png"))
    _, found = check(cli, data, code=0)
    assert found["duplicates"]["groups"] == [[f"train/drei/{one.name}", "train/drei/copy.png"]]
    assert len(found["duplicates"]["drop"]) == 1


def test_placeholders_and_empty_pictures_are_found(cli, data):
    text = np.full((64, 64), 230, np.uint8)
    cv2.putText(text, "n/a", (8, 40), cv2.FONT_HERSHEY_PLAIN, 1.5, 0)
    for number in range(5):
        assert cv2.imwrite(str(data / "train" / "drei" / f"p{number}.png"), text)
        blank = np.full((8, 8), 40 * number, np.uint8)
        assert cv2.imwrite(str(data / "train" / "acht" / f"blank{number}.png"), blank)
    Image.new("RGB", (8, 8)).save(data / "train" / "acht" / "same blank.png")
    shutil.copy(first(data / "val" / "acht"), data / "val" / "acht" / "imageNotFound.png")
    report = json.loads(cli("check-data", data).out)
    texts = {finding["text"]: finding for finding in report["findings"]}
    (placeholder,) = (f for text, f in texts.items() if "5 times over" in text)
    assert placeholder["drop"] == [f"train/drei/p{number}.png" for number in range(5)]
    (constant,) = (f for text, f in texts.items() if "of one colour" in text)
    assert len(constant["drop"]) == 6
    (named,) = (f for text, f in texts.items() if "name of a placeholder" in text)
    assert named["drop"] == ["val/acht/imageNotFound.png"]


def test_a_class_missing_from_a_split_is_found(cli, data):
    shutil.rmtree(data / "val" / "acht")
    _, found = check(cli, data)
    assert "no image of acht in val" in found["missing-class"]["text"]


def test_imbalance_and_few_images_are_told(cli, tmp_path):
    write_digits(tmp_path / "d", ("1",), 45, names=("many",))
    write_digits(tmp_path / "d", ("2",), 9, names=("few",))
    _, found = check(cli, tmp_path / "d", code=0)
    assert found["imbalance"]["text"].startswith("5.0 times as many images of many (45) as of few")
    assert "few (9)" in found["few-images"]["text"]


def test_groups_in_several_splits_are_found(cli, data):
    names = sorted(path.stem for path in (data / "train" / "drei").iterdir())
    for name, path in zip(names[:3], sorted((data / "val" / "drei").iterdir()), strict=False):
        path.rename(path.with_name(f"{name}_2.png"))
    _, found = check(cli, data, "--group-regex", r"^(\d+)")
    assert "3 groups in several splits: 3 in train and val" in found["group-leak"]["text"]
    assert len(found["group-leak"]["groups"]) == 3


def test_ids_that_names_share_are_proposed(cli, data):
    for split in ("train", "val"):
        for number, path in enumerate(sorted((data / split / "drei").iterdir())):
            path.rename(path.with_name(f"{number:05d}_{split}.png"))
    _, found = check(cli, data, code=0)
    text = found["shared-ids"]["text"]
    assert r"10 ids in front of two file names each (00000, 00001, 00002 and 7 more)" in text
    assert "10 of them in several splits (10 in train and val)" in text
    pattern = text.partition("--group-regex '")[2].removesuffix("'")
    _, found = check(cli, data, "--group-regex", pattern)
    assert len(found["group-leak"]["groups"]) == 10


def test_a_shortcut_is_found_and_said(cli, data):
    for path in list((data / "train" / "drei").iterdir()):
        Image.open(path).convert("RGB").save(path)
    report, found = check(cli, data)
    assert found["shortcut"]["text"] == (
        "acht can be told from drei by format and mode alone (30 of 30, with 10 of 30 others taken "
        "for it): 30 PNG L 8-bit; the others 20 PNG RGB 8-bit, 10 PNG L 8-bit"
    )
    assert report["shortcuts"][0]["family"] == "format and mode"


def test_exif_rotation_is_told(cli, data):
    for path in list((data / "train").rglob("*.png"))[:4]:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(path).save(path, exif=exif)
    _, found = check(cli, data, code=0)
    assert len(found["rotated"]["groups"]) == 4


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
    spoils = result.out.index("spoils a result   1 image cannot be read: is empty")
    assert spoils < result.out.index("worth knowing     1 picture more than once in a class")
    assert "val/drei/bad.png" in result.out


def test_a_second_look_decodes_nothing(data, cache_folder, monkeypatch):
    samples = find_samples(str(data))
    once = collect_facts(samples, threads=2, cache_folder=cache_folder)

    def refuse(files):
        raise AssertionError("decoded again")

    monkeypatch.setattr(collect, "read_file_facts", refuse)
    again = collect_facts(samples, threads=2, cache_folder=cache_folder)
    assert (once.from_cache, again.from_cache) == (0, 60)
    assert again.files == once.files
    assert (np.asarray(again.thumbnails) == np.asarray(once.thumbnails)).all()


def test_a_changed_file_is_looked_at_anew(data, cache_folder):
    samples = find_samples(str(data))
    before = collect_facts(samples, threads=2, cache_folder=cache_folder)
    paths = [data / path for path in samples.paths]
    content, status = paths[0].read_bytes(), paths[0].stat()
    paths[0].write_bytes(paths[1].read_bytes())  # another size
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(paths[2], ns=(status.st_atime_ns, status.st_mtime_ns + 1))  # another time
    paths[3].write_bytes(b"")
    after = collect_facts(samples, threads=2, cache_folder=cache_folder)
    same_size = len(paths[1].read_bytes()) == len(content)
    assert after.from_cache == 58 - (not same_size)
    assert after.files[2] == before.files[2]
    assert "empty" in after.files[3].problem


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty", "foreign", "rows"])
def test_a_damaged_cache_does_no_harm(data, cache_folder, damage):
    samples = find_samples(str(data))
    expected = collect_facts(samples, threads=2, cache_folder=cache_folder).files
    path = cache_folder / f"check-data-{VERSION}.sqlite"
    content = path.read_bytes()
    if damage == "foreign":
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE looks (other TEXT)")
    elif damage == "rows":
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE looks SET look = '[1, 2', thumbnail = x'00'")
    else:
        changed = {"garbage": os.urandom(len(content)), "cut": content[:5000], "empty": b""}
        path.write_bytes(changed[damage])
    for _ in range(2):
        again = collect_facts(samples, threads=2, cache_folder=cache_folder)
        assert again.files == expected
    if damage != "foreign":
        assert again.from_cache == 60


def test_a_cache_that_cannot_be_written_does_no_harm(data, tmp_path):
    closed = tmp_path / "a file, no folder"
    closed.write_text("")
    samples = find_samples(str(data))
    assert collect_facts(samples, threads=2, cache_folder=closed).from_cache == 0


def test_a_held_cache_does_no_harm(data, cache_folder, monkeypatch):
    """Another process that writes for longer than we wait costs us the cache, not the check."""
    from cnncli.audit import cache

    cache_folder.mkdir()
    holder = cache.FactsCache(cache_folder)
    connection = sqlite3.connect(cache_folder / f"check-data-{VERSION}.sqlite")
    connection.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(cache, "_PATIENCE", 0.05)
    samples = find_samples(str(data))
    assert all(collect_facts(samples, threads=2, cache_folder=cache_folder).readable)
    connection.rollback()
    connection.close()
    holder.close()


def test_processes_share_the_cache(data, tmp_path):
    command = ("check-data", data, "--format", "json")
    env = {"CNNCLI_CACHE": str(tmp_path / "shared")}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "cnncli", *map(str, command)],
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], answers
    assert len({out for out, _ in answers}) == 1
    samples = find_samples(str(data))
    assert collect_facts(samples, threads=1, cache_folder=tmp_path / "shared").from_cache == 60


def test_old_looks_are_forgotten(data, cache_folder, monkeypatch):
    from cnncli.audit import cache

    paths = sorted(data.rglob("*.png"))[:2]
    old = FactsCache(cache_folder)
    monkeypatch.setattr(cache, "_today", lambda: 10)
    old.save(make_key([str(paths[0])]), FileFacts(), np.zeros((64, 64), np.uint8))
    old.close()
    monkeypatch.setattr(cache, "_today", lambda: 500)
    new = FactsCache(cache_folder)
    assert len(new.load([make_key([str(paths[0])])])) == 1
    new.save(make_key([str(paths[1])]), FileFacts(), np.zeros((64, 64), np.uint8))
    new.close()
    left = FactsCache(cache_folder).load(make_key([str(path)]) for path in paths)
    assert list(left) == [str(paths[1])]


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNCLI_CACHE", str(tmp_path))
    assert find_cache_folder() == tmp_path
    monkeypatch.delenv("CNNCLI_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert find_cache_folder() == tmp_path / "xdg" / "cnncli"


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
    assert "3 ids in front of two file names each (00001689, 00003140, 00011632)" in ids["text"]
    assert [len(group) for group in ids["groups"]] == [2, 2, 2]
    assert found["stored-in-colour"]["text"] == (
        "26 images of 90 stored in colour or with alpha, 19 of them grey to look at"
    )
    assert set(found) == {"shortcut", "shared-ids", "stored-in-colour"}
    table = cli("check-data", SHARED_DATA / "xray-sample", "--format", "table").out
    assert table.endswith("no file property tells these from each other: No_findings, Pneumonia\n")


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
