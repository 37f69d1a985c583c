"""A path in a CSV with folders in it is that path: a namesake elsewhere never stands in."""

import re

import pytest
from helpers import TINY_PNG, find_below, labels_by_path, refuses_to_find

from cnncli.errors import CnncliError


def table(write, rows, *images, folder="", header="image,label"):
    for number, image in enumerate(images):
        write(image, data=TINY_PNG + bytes([number]))  # no content is equal
    name = f"{folder}t.csv"
    return write(name, data=f"{header}\n{rows}".encode()) / name


def test_another_sites_file_of_the_same_name_is_refused_with_exit_code_2(write, cli):
    path = table(write, "siteB/00.png,ill\nsiteB/01.png,well\n", "siteA/00.png", "siteA/01.png")
    result = cli("split", path, "--output", path.parent / "s.csv")
    assert result.code == 2
    assert "t.csv, line 2: image 'siteB/00.png' not found below" in result.error
    assert "(there is siteA/00.png, in another folder)" in result.error


@pytest.mark.parametrize(
    ("wrong", "images"),
    [
        ("siteB/img/1.png", ["siteA/img/1.png"]),  # the last folder agrees, the one above does not
        ("img/siteB/1.png", ["img/siteA/1.png"]),
        ("siteB/1", ["siteA/1.png"]),  # an id with a folder
        ("siteB/1.png", ["1.png"]),
        ("siteB/1.png", ["siteB/2.png", "old/siteB/1.png"]),  # its folder exists without it
        ("siteB/x/1.png", ["siteB/2.png", "old/siteB/x/1.png"]),
        ("../siteB/1.png", ["siteB/1.png"]),
        ("siteb/1.png", ["siteA/1.png"]),
        ("B\\siteB\\1.png", ["siteB/1.png"]),
        ("eB/1.png", ["siteB/1.png"]),  # the end of a folder's name is no folder
        ("~/siteB/1.png", ["siteB/1.png"]),
    ],
)
def test_a_path_whose_folders_do_not_agree_is_refused(write, wrong, images):
    path = table(write, f"ok.png,a\n{wrong},b\n", "ok.png", *images)
    refuses_to_find(path, "line 3: image '.*' not found below")


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ("siteA/1.png", "images/siteA/1.png"),
        ("siteA/1", "images/siteA/1.png"),
        ("siteA\\1.png", "images/siteA/1.png"),
        ("data/siteA/1.png", "siteA/1.png"),  # counts from above the CSV's folder, called data
        ("train/1.png", "train/train/1.png"),  # a folder unpacked into one of its own name
        ("1", "any/where/1.png"),
    ],
)
def test_a_path_is_found_where_all_its_folders_agree(write, given, file):
    path = table(write, f"{given},a\nok.png,b\n", "ok.png", file)
    assert list(labels_by_path(find_below(path))) == [file, "ok.png"]


def test_a_path_that_two_files_end_in_is_ambiguous(write):
    path = table(write, "siteA/1.png,a\n", "x/siteA/1.png", "y/siteA/1.png")
    refuses_to_find(path, "line 2: .* is ambiguous: x/siteA/1.png, y/siteA/1.png")


# Absolute paths of another machine


@pytest.mark.parametrize(
    "start", ["/gone/bob/data/", "C:\\Users\\bob\\data\\", "d:/data/", "\\\\server\\share\\", "/"]
)
def test_moved_absolute_paths_are_found_by_their_last_folders_and_told(write, start):
    bend = (lambda text: text.replace("/", "\\")) if "\\" in start else str
    rows = "".join(f"{start}{bend(f'siteA/0{n}.png')},{'ab'[n % 2]}\n" for n in range(3))
    path = table(write, rows, *(f"siteA/0{n}.png" for n in range(3)), "siteC/00.png")
    samples = find_below(path)
    assert list(labels_by_path(samples)) == [f"siteA/0{n}.png" for n in range(3)]
    (told,) = samples.remarks
    assert "3 paths in t.csv begin with" in told
    assert told.endswith(f"taken from {path.parent}/")


def test_a_moved_folder_of_the_same_name_needs_no_other(write):
    path = table(write, "/gone/data/1.png,a\n", "1.png")
    assert list(labels_by_path(find_below(path))) == ["1.png"]
    path = table(write, "/gone/other/1.png,a\n", "1.png")
    refuses_to_find(path, "line 2: image '/gone/other/1.png' not found")


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("/gone/siteB/1.png,a\n", 2),  # a namesake only
        ("/gone/siteA/1.png,a\n/gone/siteB/2.png,b\n", 3),
        ("/gone/siteA/1.png,a\n/lost/siteA/2.png,b\n", 3),  # of two folders that are gone
        ("/gone/siteB/siteA/9.png,a\n", 2),
        ("E:\\siteB\\1.png,a\n", 2),
        ("C:\\siteA\\1.png,a\nC:\\siteA\\3.png,b\n", 3),
    ],
)
def test_absolute_paths_that_are_not_below_the_csv_are_refused(write, rows, line):
    path = table(write, rows, "siteA/1.png", "siteA/2.png")
    refuses_to_find(path, f"line {line}: image '.*' not found")


@pytest.mark.parametrize(
    ("row", "there"),
    [
        (
            "/gone/data/siteA/1.png",
            "(there is images/siteA/1.png; if it is the image, write its path from the folder",
        ),
        ("C:\\data\\siteA\\1.png", "(there is images/siteA/1.png; if it is the image, write"),
        ("/gone/siteB/1.png", "(there is images/siteA/1.png, in another folder)"),
    ],
)
def test_a_file_with_the_same_last_folders_is_named(write, row, there):
    path = table(write, f"{row},a\n", "images/siteA/1.png", "images/1.jpg")
    refuses_to_find(path, f"line 2: image .* not found, .*{re.escape(there)}")
    refuses_to_find(table(write, "/gone/siteC/7.png,a\n"), "last folders below .*data$")


def test_an_absolute_path_in_a_folder_that_is_there_has_not_moved(write, tmp_path):
    (tmp_path / "siteA").mkdir()
    (tmp_path / "siteA" / "2.png").write_bytes(TINY_PNG)
    path = table(write, f"{tmp_path}/siteA/1.png,a\n", "siteA/1.png")
    refuses_to_find(path, "line 2: image '.*siteA/1.png' not found")
    (tmp_path / "siteB").mkdir()
    (tmp_path / "siteB" / "2.png").write_bytes(TINY_PNG)
    rows = f"{tmp_path}/siteB/2.png,a\n{tmp_path}/siteC/1.png,b\n"  # the others are still there
    refuses_to_find(table(write, rows, "siteC/1.png"), "line 3: image '.*siteC/1.png' not found")


def test_a_moved_path_with_two_readings_is_ambiguous(write):
    path = table(write, "/gone/siteA/img/1.png,a\n", "siteA/img/1.png", "img/1.png")
    refuses_to_find(path, "line 2: image .* is ambiguous: siteA/img/1.png, img/1.png")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/siteA/1.png",
        "s3://bucket/1.png",
        "file:///home/1.png",
        "HTTP://h/1.png",
    ],
)
def test_addresses_are_refused_by_name(write, url):
    path = table(write, f"1.png,a\n{url},b\n", "1.png", "siteA/1.png")
    refuses_to_find(path, f"line 3: image '{url}' is an address .URL.*give the path of a file")


def test_an_image_by_its_relative_and_its_absolute_path_is_there_twice(write, tmp_path):
    path = table(write, f"x/1.png,a\n{tmp_path}/data/x/1.png,b\n", "x/1.png")
    refuses_to_find(path, "line 3: .* stands in line 2 already, with another label")


# Channels


@pytest.mark.parametrize("second", ["ct/0.png", "pet/0.png", "0", "0.png", "./pet/../pet/0.png"])
def test_a_channel_never_takes_another_channels_file(write, second):
    rows = f"pet/1.png,ct/1.png,a\npet/0.png,{second},b\n"
    path = table(write, rows, "pet/0.png", "pet/1.png", "ct/1.png", header="image_1,image_2,label")
    refuses_to_find(path, r"line 3: .*(not found below|is the file of two channels)")


def test_the_same_file_by_two_spellings_is_no_second_channel(write, tmp_path):
    rows = f"pet/0.png,{tmp_path}/data/pet/0.png,b\n"
    path = table(write, rows, "pet/0.png", header="image_1,image_2,label")
    refuses_to_find(path, "line 2: .* is the file of two channels of this sample")


@pytest.mark.parametrize(
    ("file", "given", "told"),
    [
        ("0007.png", "7", True),
        ("in/007.png", "7.png", True),
        ("7.png", "007", True),
        ("0008.png", "7", False),
        ("a07.png", "7", False),
    ],
)
def test_leading_zeros_that_were_lost_are_told(tmp_path, file, given, told):
    for name in (file, "1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(TINY_PNG)
    (tmp_path / "t.csv").write_text(f"id,label\n1,a\n{given},b\n")
    hint = rf"there is {file}: leading zeros differ" if told else "not found below"
    refuses_to_find(tmp_path / "t.csv", hint)
    if not told:
        with pytest.raises(CnncliError) as caught:
            find_below(tmp_path / "t.csv")
        assert "leading zeros" not in str(caught.value)
