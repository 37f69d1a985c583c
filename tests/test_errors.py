"""The words of messages: numbers with what they count."""

import pytest

from cnncli.errors import count_of, shorten


@pytest.mark.parametrize(
    ("number", "words", "expected"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (2, ("image",), "2 images"),
        (1, ("class",), "1 class"),
        (1000, ("process",), "1,000 processes"),
        (1, ("image is", "images are"), "1 image is"),
        (3, ("image is", "images are"), "3 images are"),
    ],
)
def test_a_number_agrees_with_what_it_counts(number, words, expected):
    assert count_of(number, *words) == expected


def test_how_many_names_are_left_out_is_written_as_counts_are():
    names = [str(number) for number in range(1259)]
    assert shorten(names, 3) == "0, 1, 2 and 1,256 more"
    assert shorten(names[:3], 3) == "0, 1, 2"
