"""Masks of a set for segmentation are neither a class nor images of one without a word."""

import re

import pytest
from helpers import find_below, refuses_to_find


def pairs(one, two, ending="", count=3):
    return [f for n in range(count) for f in (f"{one}/{n:02d}.jpg", f"{two}/{n:02d}{ending}.png")]


@pytest.mark.parametrize(
    ("images", "masks", "ending"),
    [
        ("images", "masks", ""),
        ("image", "mask", ""),
        ("img", "mask", "_mask"),
        ("imgs", "labels", ""),
        ("images", "annotations", "_gt"),
        ("Images", "Segmentation", " segmentation"),
        ("input", "gt", ""),
        ("original", "ground_truth", "-ground_truth"),
        ("scans", "GroundTruth", ""),
        ("jpg_images", "seg", "_seg_1"),
        ("train/images", "train/masks", ""),
        ("images/a", "masks/a", ""),
        ("img", "lbl", ""),
    ],
)
def test_images_and_masks_are_no_classes(write, images, masks, ending):
    told = r"are images and their masks, as for segmentation, and no classes \(3 of 3 .*name"
    refuses_to_find(write(*pairs(images, masks, ending)), told)


def test_the_folder_of_classes_is_named(write):
    root = write(*(f for c in "ab" for f in pairs(f"images/{c}", f"masks/{c}")))
    refuses_to_find(root, re.escape(f"if {root / 'images'} holds the classes, name it"))


def test_masks_beside_classes_are_a_class_with_a_warning(write):
    root = write(*pairs("cells", "masks", "_mask"), "dust/80.jpg", "dust/81.jpg")
    samples = find_below(root)
    assert samples.class_names == ("cells", "dust", "masks")
    (note,) = samples.notes
    assert note == (
        "masks is taken as a class, though it looks like the masks of cells (3 of 3 file names are "
        "in both); move it away if it is none"
    )


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("mask", "no_mask"),  # of faces
        ("with_mask", "without_mask"),
        ("images", "photos"),
        ("cats", "dogs"),
    ],
)
def test_classes_of_the_same_file_names_are_classes(write, one, two):
    samples = find_below(write(*pairs(one, two)))
    assert set(samples.class_names) == {one, two}
    assert samples.notes == ()


def test_a_class_of_masks_of_its_own_file_names_is_a_class(write):
    root = write(*(f"mask/{n}.jpg" for n in range(5)), *(f"images/x{n}.jpg" for n in range(5)))
    assert find_below(root).notes == ()


@pytest.mark.parametrize("split", ["", "train/"])
def test_masks_in_some_class_folders_are_counted(write, split):
    files = [*pairs(f"{split}ill/images", f"{split}ill/masks"), f"{split}well/1.jpg"]
    (note,) = [n for n in find_below(write(*files)).notes if "masks" in n and "images of" in n]
    assert note.startswith("3 images lie in folders of masks inside of classes (")
    assert "ill/masks) and are read as images of the class" in note


@pytest.mark.parametrize(
    ("name", "masks"),
    [
        ("benign (1)", ["benign (1)_mask", "benign (1)_mask_1"]),
        ("7", ["7seg"]),
        ("a", ["a-GT", "a_label"]),
        ("x.1", ["x.1.mask"]),
    ],
)
def test_masks_beside_their_image_are_counted(write, name, masks):
    root = write(f"a/{name}.png", *(f"a/{mask}.png" for mask in masks), "b/1.png")
    (note,) = find_below(root).notes
    number = "1 image is" if len(masks) == 1 else f"{len(masks)} images are"
    assert note.startswith(f"{number} named like a mask of the image beside it (a/{masks[0]}.png")


def test_names_that_only_end_like_masks_are_images(write):
    root = write("a/gt.png", "a/bagt.png", "a/ba.png", "a/x_mask.png", "b/1.png", "b/1_2.png")
    assert find_below(root).notes == ()


def test_check_data_tells_it(cli, write):
    root = write(*pairs("images", "masks"))
    said = cli("check-data", root)
    assert (said.code, said.out) == (2, "")
    assert "and no classes" in said.error
