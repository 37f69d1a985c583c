"""A column of a CSV has one role: that of the images, labels, splits or groups."""

from itertools import combinations

import pytest
from helpers import TINY_PNG, find_below, refuses_to_find

ROWS = "image,label,split,patient\n1.png,a,train,p1\n2.png,b,test,p2\n3.png,a,train,p1\n"
COLUMNS = {"image": "image", "label": "label", "split": "split", "group": "patient"}
HOLDS = {"image": "images", "label": "labels", "split": "splits", "group": "groups"}


@pytest.fixture
def path(write):
    write("1.png", "2.png", "3.png", data=TINY_PNG)
    return write("t.csv", data=ROWS.encode()) / "t.csv"


# The column of groups has no usual name, so it is not found where another role is given it.
@pytest.mark.parametrize(
    ("role", "other"),
    [(role, other) for role in HOLDS for other in HOLDS if role != other and other != "group"],
)
def test_a_column_that_is_found_has_no_second_role(path, role, other):
    column = COLUMNS[other]
    told = f"--{role}-col {column}: is the column of the {HOLDS[other]}[,;]"
    refuses_to_find(path, told, **{role: column})


@pytest.mark.parametrize("roles", list(combinations(HOLDS, 2)))
@pytest.mark.parametrize("column", ["image", "label", "split", "patient"])
def test_two_flags_never_name_one_column(path, roles, column):
    refuses_to_find(path, f"{column}: is the column of the", **dict.fromkeys(roles, column))


def test_what_would_be_right_is_told(path):
    refuses_to_find(path, "name another, or that of the labels with --label-col", group="label")
    refuses_to_find(path, "labels; name another$", label="label", group="label")
    refuses_to_find(path, "without --group-col each image stands alone already", group="image")
    refuses_to_find(path, "splits, by its name; name another, or rename it", label="split")
    refuses_to_find(path, "--image-col image,label: column 'label' is", image="image,label")


def test_labels_called_patient_are_not_proposed_as_groups(path):
    samples = find_below(path, label="patient")
    assert samples.class_names == ("p1", "p2")
    assert samples.group_hint is None
    assert find_below(path).group_hint is not None


def test_a_column_without_a_name_is_not_chosen_by_an_empty_flag(path):
    path.write_text(",image,label\n0,1.png,a\n1,2.png,b\n")
    refuses_to_find(path, "--group-col : .*no such column", group="")
