"""How folders are understood: splits by any name, folders of systems, wrappers, classes."""

import shutil

import pytest
from helpers import TINY_PNG, find_below, labels_by_path, refuses_to_find

from cnncli.choices import SPLITS
from cnncli.data.inputs import expand_inputs
from cnncli.data.samples import NO_SPLIT


def splits_by_path(samples):
    """Return the name of the split of each image by its path; None without one."""
    names = [None if split == NO_SPLIT else SPLITS[split] for split in samples.splits]
    return dict(zip(samples.paths.tolist(), names, strict=True))


def check_splits(samples, expected, classes=("a", "b")):
    assert samples.class_names == classes
    assert splits_by_path(samples) == expected


PAIRS = [
    *(("Training", "Testing"), ("TRAIN", "TEST"), ("trn", "tst"), ("Train_set", "Test_set")),
    *(("train", "holdout"), ("seg_train", "seg_test"), ("train_images", "test_images")),
    *(("xray_train", "xray_test"), ("1_train", "2_test"), ("training_set", "test_set")),
    *(("TrainData", "TestData"), ("tr", "te"), ("train2019", "test2019"), ("train", "evaluation")),
]


@pytest.mark.parametrize(("train", "test"), PAIRS)
def test_splits_by_any_name(write, train, test):
    root = write(f"{train}/a/1.png", f"{train}/b/2.png", f"{test}/a/3.png", f"{test}/b/4.png")
    samples = find_below(root)
    check_splits(
        samples,
        {
            **{f"{train}/a/1.png": "train", f"{train}/b/2.png": "train"},
            **{f"{test}/a/3.png": "test", f"{test}/b/4.png": "test"},
        },
    )
    (told,) = samples.remarks
    assert told.startswith("the folders are splits, not classes: ")
    assert train in told
    assert test in told
    assert samples.notes == ()


def test_what_is_called_as_usual_needs_no_word(write):
    samples = find_below(write("train/a/1.png", "train/b/2.png", "val/a/1.png"))
    assert (samples.remarks, samples.notes) == ((), ())


SYSTEM = [
    *("__MACOSX", "$RECYCLE.BIN", "@eaDir", "lost+found", "System Volume Information"),
    *(".ipynb_checkpoints", ".Trash-1000", "#recycle", "@Recycle", "RECYCLER", "__pycache__"),
]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", SYSTEM)
def test_a_folder_of_the_system_changes_nothing(write, name, full):
    root = write("train/a/1.png", "train/b/2.png", "val/a/3.png", "val/b/4.png")
    before = find_below(root)
    for place in (root, root / "train", root / "train" / "a"):
        (place / name).mkdir()
        if full:
            (place / name / "1.png").mkdir()
            (place / name / "1.png" / "SYNOPHOTO_THUMB_XL.jpg").write_bytes(TINY_PNG)
            (place / name / "thumb.png").write_bytes(TINY_PNG)
            (place / name / "desktop.ini").write_text("x")
    after = find_below(root)
    assert splits_by_path(after) == splits_by_path(before)
    assert (after.class_names, after.remarks, after.notes) == (("a", "b"), (), ())
    assert after.skipped == before.skipped


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("runs/2026-01-01_lenet5", ("config.yaml", "splits.csv", "curves.png")),
        ("2026-01-01_lenet5", ("config.yaml", "splits.csv", "curves.png", "metrics.csv")),
        ("a/runs/1", ("config.yaml", "splits.csv", "curves.png")),
        ("judged", ("report.json", "predictions.csv", "confusion_matrix.png")),
    ],
)
def test_runs_and_reports_among_the_images_are_no_data(write, where, names):
    root = write("a/1.png", "b/2.png")
    before = find_below(root)
    for name in names:  # what is no picture is known by its content too
        write(f"{where}/{name}", data=TINY_PNG if name.endswith(".png") else b"text")
    after = find_below(root)
    assert list(after.paths) == list(before.paths)
    told = () if where.startswith("a/") else (f"no image in {where.split('/')[0]}",)
    assert (after.class_names, after.remarks, after.notes) == (("a", "b"), (), told)


@pytest.mark.parametrize(
    "names", [("report.json", "predictions.csv"), ("config.yaml", "splits.csv")]
)
def test_images_beside_a_report_stay_data(write, names):
    """As after ``evaluate photos/test --output photos/test``."""
    root = write("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png")
    before = find_below(root)
    for place in ("test", "test/a"):
        write(*(f"{place}/{name}" for name in names), data=b"text")
        write(f"{place}/confusion_matrix.png")
    after = find_below(root)
    assert splits_by_path(after) == splits_by_path(before)


def test_one_file_of_a_run_makes_no_run(write):
    root = write("a/1.png", "b/2.png", "c/curves.png", "c/config.yaml")
    assert find_below(root).class_names == ("a", "b", "c")


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", "$RECYCLE.BIN"])
def test_thumbnails_are_not_predicted(write, name):
    root = write("1.png", f"{name}/1.png/thumb.png", "in/2.png", f"in/{name}/2.png")
    found = [f"{root}/1.png", f"{root}/in/2.png"]
    assert list(expand_inputs([str(root)], None)) == found
    assert sorted(expand_inputs([f"{root}/*"], None)) == found
    assert list(expand_inputs([f"{root}/**/*.png"], None)) == found
    assert list(expand_inputs([f"{root}/{name}"], None)) == [f"{root}/{name}/1.png/thumb.png"]


@pytest.mark.parametrize("beside", ["docs/readme.pdf", "papers/x.txt", "labels/1.txt"])
def test_a_folder_without_images_beside_splits_is_none(write, beside):
    root = write("train/a/1.png", "train/b/2.png", "test/a/3.png")
    write(beside, data=b"no picture at all")
    samples = find_below(root)
    assert set(splits_by_path(samples).values()) == {"train", "test"}
    assert (samples.class_names, samples.notes) == (("a", "b"), ())


@pytest.mark.parametrize("beside", ["masks", "Thumbs", "seg_pred", "docs"])
def test_a_folder_of_images_beside_splits_is_not_read_and_told(write, beside):
    root = write("train/a/1.png", "train/b/2.png", "test/a/3.png", f"{beside}/4.png")
    samples = find_below(root)
    assert samples.class_names == ("a", "b")
    assert len(samples) == 3
    assert [text for text in samples.remarks if f"not read: {beside}" in text]


@pytest.mark.parametrize(
    "wrapper", ["archive", "archive/chest_xray", "a/b/c", "data (1)/Data set", "archive/train_test"]
)
def test_a_wrapper_is_seen_through(write, wrapper):
    root = write(*(f"{wrapper}/{s}/{c}/1.png" for s in ("Training", "Testing") for c in "ab"))
    (root / "__MACOSX").mkdir()
    samples = find_below(root)
    assert samples.class_names == ("a", "b")
    assert splits_by_path(samples)[f"{wrapper}/Training/a/1.png"] == "train"
    assert splits_by_path(samples)[f"{wrapper}/Testing/b/1.png"] == "test"
    assert samples.source.read(0) == (TINY_PNG,)
    assert wrapper in samples.remarks[0]
    shutil.rmtree(root)
    classes = find_below(write(f"{wrapper}/cat/1.png", f"{wrapper}/dog/2.png", "preview.png"))
    assert classes.class_names == ("cat", "dog")
    assert wrapper in classes.remarks[0]
    assert "1 image in no class folder is left out: preview.png" in classes.notes
    root = write(*(f"{wrapper}/{number}.png" for number in range(10)))
    if "/" not in wrapper:  # so many images are no previews: it is a class with folders inside
        assert find_below(root).class_names == (wrapper,)


def test_a_wrapper_around_a_table(write):
    root = write(
        "archive/train_images/1.png", "archive/train_images/2.png", "archive/test_images/3.png"
    )
    (root / "archive" / "train.csv").write_text("image_id,label\n1,x\n2,y\n")
    samples = find_below(root)
    assert list(labels_by_path(samples).values()) == ["x", "y"]
    assert "its table is read" in samples.remarks[0]


def test_a_wrapper_within_each_split(write):
    """As Kaggle has the scenes of Intel: seg_train/seg_train/<class>, and seg_pred is flat."""
    root = write(
        *(f"seg_{s}/seg_{s}/{c}/1.png" for s in ("train", "test") for c in ("forest", "sea")),
        "seg_pred/seg_pred/1.png",
    )
    samples = find_below(root)
    assert samples.class_names == ("forest", "sea")
    assert set(splits_by_path(samples).values()) == {"train", "test"}
    assert "seg_train/seg_train is train" in samples.remarks[0]


def test_a_copy_beside_the_splits(write):
    """As Kaggle has the chest X-rays: the folder holds itself once more."""
    splits = [f"{s}/{c}/1.png" for s in ("train", "val", "test") for c in ("NORMAL", "PNEUMONIA")]
    root = write(*splits, *(f"chest_xray/{name}" for name in splits), "__MACOSX/chest_xray/1.png")
    samples = find_below(root)
    assert sorted(splits_by_path(samples)) == sorted(splits)
    assert "not read: chest_xray" in samples.remarks[0]


def test_splits_in_one_of_several_folders_are_named(write):
    root = write(*(f"set/{s}/{c}/1.png" for s in ("train", "valid") for c in "ab"), "test/1.png")
    refuses_to_find(root, r"its folder set holds splits \(train, valid\).*/set$")


@pytest.mark.parametrize(
    "names", [("test", "control"), ("train", "bus"), ("valid", "invalid"), ("dev", "test", "prod")]
)
@pytest.mark.parametrize("deep", ["", "p1/"])
def test_classes_may_be_called_like_splits(write, names, deep):
    samples = find_below(write(*(f"{name}/{deep}{name}.png" for name in names)))
    assert samples.class_names == tuple(sorted(names))
    assert set(splits_by_path(samples).values()) == {None}
    assert samples.notes == ()


@pytest.mark.parametrize(
    "names", [("strep_test", "covid_test"), ("train_station", "bus_station"), ("test1", "test2")]
)
def test_classes_with_the_word_of_a_split(write, names):
    samples = find_below(write(*(f"{name}/1.png" for name in names)))
    assert samples.class_names == tuple(sorted(names))


def test_a_folder_called_train_that_may_be_either_is_told(write):
    samples = find_below(write("train/a/1.png", "train/b/2.png", "bus/3.png"))
    assert samples.class_names == ("bus", "train")
    assert [n for n in samples.notes if "the folder train is taken as a class, though" in n]


def test_classes_that_carry_their_split_are_an_error(write):
    root = write("cat_train/1.png", "dog_train/2.png", "cat_test/3.png", "dog_test/4.png")
    refuses_to_find(root, r"named like splits.*train/<class>/")


def test_splits_inside_of_classes(write):
    root = write(*(f"{c}/{s}/1.png" for c in ("cat", "dog") for s in ("Training", "test")))
    samples = find_below(root)
    assert samples.class_names == ("cat", "dog")
    assert splits_by_path(samples)["cat/Training/1.png"] == "train"
    assert splits_by_path(samples)["dog/test/1.png"] == "test"
    assert "every class folder holds folders of splits" in samples.remarks[0]


def test_splits_inside_of_classes_that_cannot_be_read_are_doubted(write):
    root = write(*(f"{c}/{s}/1.png" for c in ("cat", "dog") for s in ("train", "test")))
    write("cat/train/more/1.png")
    samples = find_below(root)
    assert set(splits_by_path(samples).values()) == {None}
    assert "each class holds the folders test, train" in samples.notes[0]


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        (("cat/train/1", "cat/test/2", "dog/3"), "cat/test, cat/train are named like splits"),
        (("cat/train/1", "cat/test/2", "dog/a/3", "dog/b/4"), "dog holds images of no split"),
        (("cat/Training/1", "cat/val/2", "dog/3", "eel/4"), "dog, eel hold images of no split"),
        (("cat/test/1", "dog/2"), "cat/test are named like splits, but dog holds"),
        (("cat/train/1", "cat/test/2", "cat/5", "dog/3"), "cat/test, cat/train are named"),
        (("cat/1", "cat/val/2", "dog/3", "dog/val/4"), "each class holds the folder val, not tak"),
        (("cat/train/1", "dog/train/2"), "each class holds the folder train, not taken as split"),
    ],
)
def test_splits_in_some_classes_only_are_told(write, paths, named):
    samples = find_below(write(*(f"{path}.png" for path in paths)))
    assert len(samples) == len(paths)
    assert set(splits_by_path(samples).values()) == {None}
    (note,) = samples.notes
    assert named in note


def test_a_class_with_val_alone_is_an_error_of_the_classes(cli, write):
    root = write(*(f"cat/{s}/{n}.png" for s in ("train", "val") for n in (1, 2)), "dog/val/1.png")
    said = cli("train", root, "--model", "lenet5")
    assert said.code == 2
    assert "class 'dog' has no image in the training split" in said.error


@pytest.mark.parametrize("place", ["", "train/"])
def test_classes_within_a_class_are_told(write, place):
    root = write(*(f"{place}{c}/1.png" for c in ("cat", "dog", "more/cow", "more/eel")))
    if place:
        write(*(f"test/{c}/1.png" for c in ("cat", "dog", "more")))
    samples = find_below(root)
    assert samples.class_names == ("cat", "dog", "more")
    (note,) = samples.notes
    assert note.startswith(f"{place}more is taken as one class, though it holds the folders cow, ")


@pytest.mark.parametrize(
    "paths",
    [
        ("cat/p1/1", "cat/p2/2", "dog/p3/3", "dog/p4/4"),
        ("cat/1", "cat/old/2", "dog/3"),
        ("cat/1", "cat/a/2", "cat/b/3", "dog/3"),
        ("trains/train/1", "trains/bus/2", "dog/p/3"),
    ],
)
def test_deeper_folders_that_need_no_word(write, paths):
    assert find_below(write(*(f"{path}.png" for path in paths))).notes == ()


def test_an_unlabelled_test_is_left_out_and_named(write):
    root = write("train/a/1.png", "train/b/2.png", "test/3.png", "test/4.png")
    samples = find_below(root)
    check_splits(samples, {"train/a/1.png": "train", "train/b/2.png": "train"})
    assert samples.remarks == (
        f"2 images without a class folder are left out; cnncli predict {root}/test predicts them",
    )
    assert samples.notes == ()


@pytest.mark.parametrize("inside", ["asl_test", "images", "Test"])
def test_an_unlabelled_test_in_one_more_folder(write, inside):
    root = write("asl_train/a/1.png", "asl_train/b/2.png", f"asl_test/{inside}/3.png")
    samples = find_below(root)
    assert set(splits_by_path(samples).values()) == {"train"}
    assert f"cnncli predict {root}/asl_test predicts them" in samples.remarks[1]


def test_classes_that_hold_the_same_folders_are_doubted(write):
    root = write(*(f"p{n}/{c}/1.png" for n in (1, 2, 3) for c in ("benign", "malignant")))
    (note,) = find_below(root).notes
    assert "each of the folders p1, p2, p3 holds the folders benign, malignant" in note
    shutil.rmtree(root)
    root = write(
        *(f"{c}/{kind}/1.png" for c in ("COVID", "Normal") for kind in ("images", "masks"))
    )
    (note,) = find_below(root).notes
    assert note == (
        "2 images lie in folders of masks inside of classes (COVID/masks, Normal/masks) and are "
        "read as images of the class; move them away if they are none"
    )


def test_a_copy_of_the_classes_in_one_of_them_is_doubted(write):
    root = write("sick/1.png", "well/1.png", "cells/sick/1.png", "cells/well/1.png")
    (note,) = find_below(root).notes
    assert "the folder cells is taken as a class, though it holds" in note


def test_two_folders_of_one_split_are_told(write):
    root = write(*(f"{s}/{c}/1.png" for s in ("train", "train_old", "test") for c in "ab"))
    (note,) = find_below(root).notes
    assert "train, train_old are all taken as train" in note
