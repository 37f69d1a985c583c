"""The tables of the page: the pairs that are confused most, the groups, and figures as texts."""

import numpy as np

from cnncli.page.tables import (
    confused_pairs,
    figure_rows,
    group_rows,
    interval_note,
    per_class_rows,
)


def test_the_pairs_that_are_confused_most_come_first():
    matrix = [[9, 1, 0], [4, 9, 0], [0, 2, 9]]
    assert confused_pairs(matrix) == [(1, 0, 4), (2, 1, 2), (0, 1, 1)]
    assert matrix[0][0] == 9


def test_a_hundred_pairs_are_enough():
    matrix = np.arange(40 * 40).reshape(40, 40).tolist()
    pairs = confused_pairs(matrix)
    assert len(pairs) == 100
    assert pairs[0] == (39, 38, 39 * 40 + 38)


def test_groups_with_most_mistakes_come_first_and_others_are_counted():
    groups = ["a", "b", "b", ""] + [f"p{n}" for n in range(100)]
    wrong = np.array([True, True, True, False] + [False] * 100)
    rows, note = group_rows(groups, wrong)
    assert [tuple(row.values()) for row in rows[:3]] == [
        ("b", 2, 2),
        ("a", 1, 1),
        ("(no group)", 1, 0),
    ]
    assert len(rows) == 100
    assert note == "2 of 103 groups have a mistake. 3 more groups are not listed."


def test_figures_are_texts_of_four_digits_in_both_forms_of_a_report():
    report = {"images": 3, "class_names": ["a", "b"], "confusion_matrix": [[1, 0], [1, 1]]}
    rows = figure_rows(
        report,
        [
            {"metric": "accuracy", "value": 2 / 3, "low": 0.2, "high": 0.9},
            {"metric": "auroc", "value": 0.5, "low": None, "high": None},
            {"metric": "mcc", "value": None, "low": None, "high": None},
        ],
    )
    assert [(row["name"], row["value"], row["low"]) for row in rows] == [
        ("images", "3", ""),
        ("accuracy", "0.6667", "0.2000"),
        ("AUROC", "0.5000", ""),
        ("MCC", "undefined", ""),
    ]
    assert rows[1]["unit"].endswith("(2 of 3)")
    assert rows[2]["unit"].endswith("of class b")
    old, new = per_class_rows(
        [
            {"class_name": "a", "images": 1200, "recall": 0.5, "f1": None},
            {"class_name": "b", "recall": {"value": 0.5, "low": 0.25, "high": 1.0}, "f1": None},
        ]
    )
    assert old == {
        "class": ("a", ""),
        "images": ("1,200", ""),
        "recall": ("0.5000", ""),
        "F1": ("undefined", ""),
    }
    assert new["recall"] == ("0.5000", "0.2500 to 1.0000")


def test_the_intervals_name_their_units():
    assert "as many images" in interval_note({})
    assert "as many groups, 1,200:" in interval_note({"resampled": "group", "groups": 1200})
