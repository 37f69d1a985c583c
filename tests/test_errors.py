"""The words of messages: numbers with what they count."""

import pytest

from cnncli.errors import count_of


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
