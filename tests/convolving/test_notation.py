"""Numbers as text: what is read, what is written, and what is refused with which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnncli.convolving.notation import (
    format_number,
    looks_like_numbers,
    parse_file,
    parse_grids,
)
from cnncli.errors import CnncliError

SOBEL = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]


@pytest.mark.parametrize(
    "text",
    [
        "1 0 -1; 2 0 -2; 1 0 -1",
        "1,0,-1;2,0,-2;1,0,-1",
        " 1 0 −1 ;\n2 0 −2; 1 0 −1;",  # a typographic minus
        "1\t0\t-1\n2\t0\t-2\n1\t0\t-1\n",
        "1.0 0e3 -1; 4/2 .0 -2.; +1 0 -1",
        "1, 0, -1; 2, 0, -2; 1, 0, -1",
    ],
)
def test_one_grid(text):
    assert parse_grids(text, "x").grids() == [SOBEL]
    assert looks_like_numbers(text)


def test_whole_numbers_are_ints():
    assert [type(x) for x in parse_grids("1 2.0 1e3 0.5", "x").numbers] == [int, int, int, float]


def test_channels():
    values = parse_grids("1 2; 3 4 | 5 6; 7 8 | 9 1; 2 3", "x")
    assert values.shape == (3, 2, 2)
    assert values.grids()[2] == [[9, 1], [2, 3]]


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n\n5,6\n7,8\n",
        "1;2\r\n3;4\r\n\r\n5;6\r\n7;8\r\n",
        "1\t2\n3\t4\n\t\n5\t6\n7\t8",
        "1 2; 3 4\n\n5 6; 7 8",
        "1 2; 3 4 | 5 6; 7 8",
        "\n1 2\n3 4\n\n\n5 6\n7 8\n\n",
    ],
)
def test_files(text):
    assert parse_file(text, "x").grids() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no number"),
        (" ; ", "holds no number"),
        ("1 2; 3", r"row 1 \(from 0\) has 1 numbers and row 0 has 2"),
        ("1 2; 3 x", r"row 1 \(from 0\): 'x' is no number"),
        ("1 nan", "NaN and infinity cannot be computed with"),
        ("-inf 1", "NaN and infinity"),
        ("1e400 1", "1e400 is too large"),
        ("1e13 1", "too large; the largest number is 1e"),
        ("1" * 5000, "too large"),
        ("1e99999", "'1e99999' is no number"),
        ("1/0 1", "divides by 0"),
        ("1,,2", "a number is missing between two commas"),
        ("1 2 | ", r"channel 1 \(from 0\): holds no number"),
        ("1 2 | 1", "its channels are 1x2, 1x1"),
    ],
)
def test_what_is_no_grid(text, why):
    with pytest.raises(CnncliError, match=why) as caught:
        parse_grids(text, "x")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_decimal_comma_is_not_taken_for_two_numbers():
    with pytest.raises(CnncliError, match="both ; and ,"):
        parse_file("1,5;2,5\n3,5;4,5\n", "x")


@pytest.mark.parametrize("text", ["bee.jpg", "sobel-x", "nan", "./5", "/1", "", "a 1 2", "-"])
def test_what_does_not_look_like_numbers(text):
    assert not looks_like_numbers(text)


@given(st.floats(-1e9, 1e9) | st.integers(-(10**12), 10**12))
def test_a_number_that_is_written_in_full_is_read_again(number):
    assert parse_grids(format_number(number, None), "x").numbers == [number]
