"""Where samples come from: class folders, split folders, CSVs, digits."""

import os
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers import SHARED_DATA

from cnncli.data.classes import match_classes, order_classes, sort_class_names
from cnncli.data.find_samples import find_samples
from cnncli.data.samples import NO_SPLIT, CsvColumns
from cnncli.data.splits import TEST, TRAIN, VAL
from cnncli.errors import CnncliError

PNG = cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()


@pytest.fixture
def write(tmp_path):
    """Return a function that writes images below one root, and returns the root."""

    def write(*names, data=PNG):
        for name in names:
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "data"

    (tmp_path / "data").mkdir()
    return write


def labelled(samples):
    """Return {path: class name}."""
    names = [samples.class_names[target] for target in samples.targets]
    return dict(zip(samples.paths.tolist(), names, strict=True))


def find(root, **columns):
    return find_samples(str(root), CsvColumns(**columns))


def fails(root, why, **columns):
    with pytest.raises(CnncliError, match=why) as caught:
        find(root, **columns)
    assert "\n" not in str(caught.value)


# (a) class folders


def test_class_folders(write):
    root = write("b/2.png", "a/1.png", "a/deep/er/3.png", "c d/ü 4.JPG", "日本/5.png")
    samples = find(root)
    assert labelled(samples) == {
        "a/1.png": "a",
        "a/deep/er/3.png": "a",
        "b/2.png": "b",
        "c d/ü 4.JPG": "c d",
        "日本/5.png": "日本",
    }
    assert samples.class_names == ("a", "b", "c d", "日本")
    assert (samples.splits == NO_SPLIT).all()
    assert (samples.groups, samples.skipped, samples.notes) == (None, 0, ())
    for index in range(5):
        assert samples.source.read(index) == (PNG,)
        assert samples.source.size(index) == len(PNG)


def test_hidden_things_are_skipped_and_others_counted(write):
    root = write("a/1.png", "b/1.png", "b/.2.png", ".git/3.png", "a/.cache/4.png")
    write("a/notes.txt", "README.md", "b/BMI.data", data=b"BMI,age\n20,3 and some more text\n")
    samples = find(root)
    assert list(labelled(samples)) == ["a/1.png", "b/1.png"]
    assert samples.skipped == 3


def test_images_are_known_by_content_or_by_their_ending(write):
    root = write("a/no-ending", "a/1.dat", "b/1.PNG")
    write("b/text.jpg", data=b"this is meant to be an image and will be told")
    assert list(labelled(find(root))) == ["a/1.dat", "a/no-ending", "b/1.PNG", "b/text.jpg"]


def test_links_are_followed_and_loops_and_broken_ones_survived(write, tmp_path):
    root = write("a/1.png", "b/1.png")
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "9.png").write_bytes(PNG)
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a" / "self")
    (root / "self").symlink_to("self")
    (root / "b" / "broken").symlink_to("nowhere")
    (root / "c").symlink_to(tmp_path / "far")
    os.mkfifo(root / "b" / "pipe.png")
    assert list(labelled(find(root))) == ["a/1.png", "b/1.png", "c/9.png"]


def test_a_link_to_a_lost_image_is_an_image_that_cannot_be_read(write):
    root = write("a/1.png", "b/1.png")
    (root / "b" / "2.png").symlink_to("nowhere.png")
    (root / "b" / "3.png").symlink_to("3.png")
    samples = find(root)
    assert list(labelled(samples)) == ["a/1.png", "b/1.png", "b/2.png", "b/3.png"]
    for index in (2, 3):
        with pytest.raises(OSError, match=r"[23]\.png"):
            samples.source.read(index)


def test_loose_images_and_empty_folders_are_told(write):
    root = write("a/1.png", "b/1.png", "loose.png")
    (root / "empty").mkdir()
    samples = find(root)
    assert samples.class_names == ("a", "b")
    assert any("1 images in no class folder" in n and "loose.png" in n for n in samples.notes)
    assert "no image in empty" in samples.notes


def test_a_name_that_is_no_text_is_an_error(write):
    root = write("a/1.png", "b/1.png")
    with open(os.fsencode(root) + b"/a/\xff.png", "wb") as file:
        file.write(PNG)
    fails(root, r"xff.png' is not UTF-8; rename it")


def test_a_closed_folder_is_an_error(write, monkeypatch):
    root = write("a/1.png", "b/1.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    fails(root, "/b: the folder cannot be read")


def test_nothing_to_find(write, tmp_path):
    root = write()
    fails(root, "no images found .PNG, JPEG")
    fails(write("1.png", "2.png"), "2 images lie in no class folder; put them in DATA/<class>/")
    fails(tmp_path / "dat", "no such file or folder; did you mean data")
    fails("digit", "did you mean digits")
    fails(tmp_path / "no" / "such", "no such file or folder")
    fails("", "--data: is empty")
    fails("~no-such-user/x", "cannot be read|no such file")
    fails("x" * 300, "cannot be read|no such file")
    fails(root / "1.png", "neither a folder nor a CSV")


def test_columns_without_a_csv_are_an_error(write):
    root = write("a/1.png", "b/1.png")
    fails(root, "--group-col patient: .* no CSV", group="patient")
    fails("digits", "--label-col y: .* no CSV", label="y")


# (b) split folders


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders(write, val):
    root = write("train/a/1.png", "train/b/2.png", f"{val}/a/3.png", "test/b/deep/4.png")
    write(".hidden/x/1.png", "labels.txt")
    samples = find(root)
    found = {path: samples.splits[n] for n, path in enumerate(samples.paths)}
    assert found == {
        "train/a/1.png": TRAIN,
        "train/b/2.png": TRAIN,
        f"{val}/a/3.png": VAL,
        "test/b/deep/4.png": TEST,
    }
    assert set(labelled(samples).values()) == {"a", "b"}


def test_a_class_may_be_called_train(write):
    samples = find(write("train/1.png", "bus/1.png", "tram/1.png"))
    assert samples.class_names == ("bus", "train", "tram")
    assert (samples.splits == NO_SPLIT).all()
    assert samples.notes == ()


def test_split_folders_beside_another_folder_are_classes_but_that_is_told(write):
    samples = find(write("train/a/1.png", "val/a/1.png", "masks/1.png"))
    assert samples.class_names == ("masks", "train", "val")
    assert [n for n in samples.notes if n.startswith("the folders train, val are taken as classes")]


def test_split_folders_without_class_folders(write):
    fails(write("train/1.png", "val/2.png"), "2 images lie in no class folder; put them in DATA/tr")


# Classes


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "9", "1"], (["1", "9", "10"], True)),
        (["2", "-1", "0"], (["-1", "0", "2"], True)),
        (["10", "9", "b"], (["10", "9", "b"], False)),
        (["b", "B", "a"], (["B", "a", "b"], False)),
        (["-", "1"], (["-", "1"], False)),
        (["1.5", "1"], (["1", "1.5"], False)),
    ],
)
def test_integers_sort_as_integers(names, expected):
    assert sort_class_names(names) == expected


def test_integer_classes_are_ordered(write):
    samples = order_classes(find(write("10/a.png", "9/b.png", "2/c.png")), None)
    assert samples.class_names == ("2", "9", "10")
    assert labelled(samples) == {"10/a.png": "10", "2/c.png": "2", "9/b.png": "9"}
    assert samples.ordered


def test_a_class_order_is_kept(write):
    found = find(write("low/a.png", "high/b.png", "mid/c.png"))
    assert not order_classes(found, None).ordered
    samples = order_classes(found, ["low", "mid", "high"])
    assert samples.class_names == ("low", "mid", "high")
    assert labelled(samples) == {"high/b.png": "high", "low/a.png": "low", "mid/c.png": "mid"}
    assert samples.ordered


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (["low"], "class 'high' is missing"),
        (["low", "high", "low"], "'low' is named twice"),
        (["low", "high", "hihg"], "there is no class 'hihg'; did you mean high"),
        ([], "is missing"),
    ],
)
def test_a_wrong_class_order_is_told(write, order, why):
    found = find(write("low/a.png", "high/b.png"))
    with pytest.raises(CnncliError, match=f"--class-order: .*{why}"):
        order_classes(found, order)


def test_a_class_only_in_val_is_an_error_and_one_only_in_train_is_not(write):
    root = write("train/a/1.png", "train/b/1.png", "val/a/1.png")
    assert order_classes(find(root), None).class_names == ("a", "b")
    write("val/new/1.png")
    with pytest.raises(CnncliError, match="class 'new' has no image in the training split"):
        order_classes(find(root), None)


def test_classes_are_matched_by_name(write):
    found = find(write("cat/1.png", "dog/1.png"))
    samples = match_classes(found, ["ant", "dog", "cat"])
    assert samples.class_names == ("ant", "dog", "cat")
    assert samples.targets.tolist() == [2, 1]
    with pytest.raises(
        CnncliError, match=r"class 'cat' is unknown to the checkpoint.*did you mean c"
    ):
        match_classes(found, ["dog", "cats"])


def test_many_classes_take_no_time(write):
    samples = find(write("a/1.png", "b/1.png"))
    names = tuple(f"class {n:05d}" for n in range(20_000))
    many = replace(
        samples, class_names=names, targets=np.arange(20_000), splits=np.full(20_000, NO_SPLIT)
    )
    start = time.process_time()
    order_classes(many, names[::-1])
    match_classes(many, names[::-1])
    assert time.process_time() - start < 2


# (c) CSVs


def table(write, text, *images, name="labels.csv"):
    write(*images)
    data = text if isinstance(text, bytes) else text.encode()
    return write(name, data=data) / name


@pytest.mark.parametrize(
    "header", ["image,label", "Path,CLASS", "filename,target", "id_code,diagnosis", "img, level"]
)
def test_usual_columns_are_found(write, header):
    path = table(write, f"{header}\nx/1.png,a\n2.png,b\n", "x/1.png", "2.png")
    samples = find(path)
    assert labelled(samples) == {"x/1.png": "a", "2.png": "b"}
    assert (samples.splits == NO_SPLIT).all()
    assert samples.groups is None
    assert labelled(find(path.parent)) == labelled(samples)  # a folder with one
    assert samples.source.read(1) == (PNG,)


def test_chosen_columns_splits_and_groups(write):
    path = table(
        write,
        "n,where,what,part,who\n1,1.png,a,Train,x\n2,2.png,b,valid,y\n3,3.png,a,test,\n4,4.png,b,val,\n",
        *("1.png", "2.png", "3.png", "4.png"),
    )
    samples = find(path, image="where", label="what", split="part", group="who")
    assert list(labelled(samples).values()) == ["a", "b", "a", "b"]
    assert samples.splits.tolist() == [TRAIN, VAL, TEST, VAL]
    # An empty group is none: such images do not belong together.
    assert list(samples.groups) == ["x", "y", "3.png", "4.png"]
    fails(path, "name the column with --image-col; it has n, where, what")
    fails(path, "name the column with --label-col", image="where")
    fails(path, "--image-col wher: .* no such column.*did you mean where", image="wher")


def test_ids_with_and_without_ending_anywhere_below(write):
    path = table(
        write,
        "image,label\n007,a\nimg/v1.2,b\n3.png,a\nC:\\old\\4,b\nscan,a\n",
        *("deep/007.png", "img/v1.2.png", "deep/er/3.png", "deep/4.jpg", "scan.png"),
    )
    write("scan.txt", "deep/4.json", data=b"{}")  # notes beside an image are no second image
    assert list(labelled(find(path))) == [
        "deep/007.png",
        "img/v1.2.png",
        "deep/er/3.png",
        "deep/4.jpg",
        "scan.png",
    ]


def test_a_folder_in_an_id_tells_equal_names_apart(write):
    path = table(write, "image,label\nx/1,a\ny/1,b\n", "img/x/1.png", "img/y/1.png")
    assert labelled(find(path)) == {"img/x/1.png": "a", "img/y/1.png": "b"}


def test_a_namesake_in_another_folder_is_no_stand_in(write):
    path = table(write, "image,label\nx/1.png,a\ny/2.png,b\n", "x/1.png", "x/2.png", "y/3.png")
    fails(path, "line 3: image 'y/2.png' not found below")


def test_backslashes_and_dots_in_paths(write):
    path = table(write, "image,label\nx\\1.png,a\n./y//../x/2.png,b\n", "x/1.png", "x/2.png", "y/z")
    assert list(labelled(find(path))) == ["x/1.png", "x/2.png"]


def test_absolute_paths(write, tmp_path):
    (tmp_path / "1.png").write_bytes(PNG)
    path = table(write, f"image,label\n{tmp_path}/1.png,a\n2.png,b\n", "2.png")
    samples = find(path)
    assert list(labelled(samples)) == [f"{tmp_path}/1.png", "2.png"]
    assert samples.source.read(0) == (PNG,)


def test_values_stay_text(write):
    samples = find(
        table(write, "id,label\n1.png,NA\n2.png,01\n3.png,null\n", "1.png", "2.png", "3.png")
    )
    assert list(labelled(samples).values()) == ["NA", "01", "null"]


def test_bom_quotes_blank_lines_and_a_trailing_comma(write):
    text = '\ufeffimage,label\n"a, b.png","x, y"\n\n2.png,"says ""z"""\n'
    samples = find(table(write, text, "a, b.png", "2.png"))
    assert labelled(samples) == {"a, b.png": "x, y", "2.png": 'says "z"'}
    path = table(write, "image,label\n1.png,a,\n2.png,b,\n", "1.png", name="labels.csv")
    assert labelled(find(path)) == {"1.png": "a", "2.png": "b"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("image,label\n1.png,a\nno.png,b\n", "line 3: image 'no.png' not found below"),
        ("image,label\n1.png,a\nsame,b\n", "line 3: image 'same' is ambiguous: p/same.png, q/same"),
        ("image,label\n1.png,a\n2.png,\n", "line 3: column 'label' is empty"),
        ("image,label\n1.png,a\n2.png\n", "line 3: column 'label' is empty"),
        ("image,label\n1.png,a\n  ,b\n", "line 3: column 'image' is empty"),
        ("image,label\n1.png,a\n1.png,a\n", "line 3: '1.png' stands in line 2 already; keep"),
        ("image,label\n1.png,a\n./1.png,b\n", "line 3: .* already, with another label"),
        ("image,label\n1.png,a\n1,a\n", "line 3: .* stands in line 2"),
        ("image,label,split\n1.png,a,train\n2.png,b,dev\n", "line 3: split 'dev' is none of"),
        ("image,label,split\n1.png,a,train\n2.png,b,\n", "line 3: split '' is none of"),
        ('image,label\n\n\n"1.png",a\n \n2.png,\n', "line 6: column 'label' is empty"),
        ('image,x,label\n1.png,"two\nlines",a\n\nno.png,,b\n', "line 5: image 'no.png' not"),
        ("image,label\n\n1.png,a\n\n\n1.png,a\n", "line 6: '1.png' stands in line 3 already"),
        ("image,label\n", "no rows below the header"),
        ("image,label,label\n1.png,a,b\n2.png,b,a\n", "column 'label' is there twice"),
        ("", "not a CSV in UTF-8"),
        ('image,label\n"1.png,a\n', "not a CSV in UTF-8"),
        ("image,label\n1.png,a\n2.png,b,c,d\n", "not a CSV in UTF-8"),
        ("image,label\n1.png,größe\n".encode("latin-1"), "not a CSV in UTF-8"),
        ("image,label\n1.png,a\n".encode("utf-16"), "not a CSV in UTF-8"),
        ("image;label\n1.png;a\n", "name the column with --image-col; it has image;label"),
    ],
)
def test_a_wrong_csv_is_told_with_its_line(write, text, why):
    path = table(write, text, "1.png", "2.png", "p/same.png")
    write("q/same.png", data=PNG + b"\0")
    fails(path, why)


def test_several_csvs_must_be_chosen_from(write):
    path = table(write, "image,label\n1.png,a\n", "1.png")
    table(write, "image,label\n1.png,a\n", name="more.csv")
    fails(path.parent, r"several CSV files \(labels.csv, more.csv\); name one of them")
    assert labelled(find(path)) == {"1.png": "a"}


def test_a_csv_beside_one_folder_names_its_images(write):
    path = table(write, "image_id,label\n1,a\n2,b\n", "images/1.png", "images/2.png")
    assert labelled(find(path.parent)) == {"images/1.png": "a", "images/2.png": "b"}


def test_a_csv_beside_class_folders_is_not_read_but_told(write):
    path = table(write, "image,label\na/1.png,x\n", "a/1.png", "b/2.png")
    samples = find(path.parent)
    assert samples.class_names == ("a", "b")
    assert samples.skipped == 1
    assert samples.remarks == ("labels.csv beside the folders is not read; name it to use it",)
    write("train/a/1.png", "test/a/2.png")
    path.rename(path.parent / "train" / "x.csv")
    assert find(path.parent).remarks == ()


def test_a_csv_beside_split_folders_with_classes_is_not_read(write):
    path = table(write, "id,label\n1,x\n", "train/a/1.png", "train/b/2.png", "test/a/3.png")
    samples = find(path.parent)
    assert samples.class_names == ("a", "b")
    assert "labels.csv beside the folders" in samples.remarks[0]


# (d) digits


def test_digits():
    from sklearn.datasets import load_digits

    samples = find("digits")
    expected = load_digits()
    assert len(samples) == 1797
    assert samples.class_names == tuple("0123456789")
    np.testing.assert_array_equal(samples.targets, expected.target)
    for index in (0, 7, 1796):
        (data,) = samples.source.read(index)
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(pixels, expected.images[index] / 16 * 255, atol=0.5)
        assert samples.source.size(index) == len(data)
    assert len(set(samples.paths.tolist())) == 1797


@pytest.mark.parametrize(
    ("name", "classes", "images"),
    [("defects", 6, 1200), ("ants-bees", 2, 398), ("xray-sample", 3, 90)],
)
def test_real_folders(name, classes, images):
    if not (SHARED_DATA / name).is_dir():
        pytest.skip(f"no real images in {SHARED_DATA / name}")
    samples = find(SHARED_DATA / name)
    assert (len(samples.class_names), len(samples), samples.notes) == (classes, images, ())
