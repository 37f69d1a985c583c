"""Tables that fit: no line too wide, no number broken, and what is missing is told."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from cnncli.reporting import TableLayout
from cnncli.shell.tables import draw_table

WORDS = st.text(alphabet="abcdefghij_-", min_size=1, max_size=60)
WIDE = st.text(alphabet="aé日本語中문👍e\u0301/ ", max_size=50)
PATHS = st.lists(WORDS, min_size=1, max_size=6).map("/".join)
SENTENCES = st.lists(st.text(alphabet="abcdefghij", min_size=1, max_size=15), max_size=20).map(
    " ".join
)
NUMBERS = st.one_of(st.none(), st.integers(0, 10**11), st.floats(0, 1))
KINDS = {"number": NUMBERS, "name": WORDS, "wide": WIDE, "path": PATHS, "text": SENTENCES}


@st.composite
def tables(draw):
    """Return rows, columns and a layout; the first column counts the rows."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), max_size=8))
    columns = [f"{kind}_{index}" for index, kind in enumerate(kinds)]
    rows = [
        {"row": index, **{c: draw(KINDS[k]) for c, k in zip(columns, kinds, strict=True)}}
        for index in range(draw(st.integers(1, 4)))
    ]
    layout = TableLayout(
        drop=draw(st.permutations(columns)),
        keep=[c for c in columns if draw(st.integers(0, 4)) == 0],
        paths=[c for c, k in zip(columns, kinds, strict=True) if k == "path"],
        words=[c for c, k in zip(columns, kinds, strict=True) if k == "text"],
        whole="--format csv",
    )
    return rows, ["row", *columns], layout


@settings(deadline=None, max_examples=150)
@given(tables(), st.integers(20, 200))
def test_every_table_fits_every_width(table, width):
    rows, columns, layout = table
    lines = draw_table(rows, columns, width=width, layout=layout)
    assert max(map(cell_len, lines)) <= width
    assert [line for line in lines if line != line.rstrip()] == []
    header, _, *body = lines
    for row in rows:  # each row begins a line with its number, in their order
        index = next(i for i, line in enumerate(body) if line.split()[:1] == [str(row["row"])])
        body = body[index:]
    shown = [c for c in columns if c.startswith("number") and c in header.split()]
    text = "\n".join(lines)
    for row in rows:
        for value in (row[c] for c in shown if isinstance(row[c], int)):
            assert re.search(rf"(?<![\d,]){value:,}(?![\d,])", text)


@settings(deadline=None, max_examples=50)
@given(tables(), st.integers(20, 200))
def test_a_column_is_shown_or_told(table, width):
    rows, columns, layout = table
    lines = draw_table(rows, columns, width=width, layout=layout)
    told = " ".join(lines[2 + len(rows) :])
    if " more" not in told:
        assert [c for c in columns if c not in lines[0].split() and c not in told] == []


@settings(deadline=None, max_examples=100)
@given(tables(), st.integers(20, 120))
def test_a_terminal_of_the_width_that_is_told_shows_all(table, width):
    rows, columns, layout = table
    told = re.search(r"A terminal of (\d+)", " ".join(draw_table(rows, columns, width=width)))
    if told:
        lines = draw_table(rows, columns, width=int(told[1]))
        assert lines[0].split() == columns
        assert "hown" not in lines[-1]
        narrow = " ".join(draw_table(rows, columns, width=int(told[1]) - 1))
        assert re.search("Empty, so not shown: |Not shown: |Shortened: |The same in all: ", narrow)
    words = [word for c in columns if c in layout.words for row in rows for word in row[c].split()]
    told = re.search(r"A terminal of (\d+)", draw_table(rows, columns, width=20, layout=layout)[-1])
    if told:
        lines = draw_table(rows, columns, width=int(told[1]), layout=layout)
        assert [word for word in words if word not in " ".join(lines)] == []


def test_without_a_limit_nothing_is_cut():
    rows = [{"path": "a/" * 100 + "b.png", "n": 1_000_000}]
    header, _, row = draw_table(rows, ["path", "n"], width=None)
    assert header.split() == ["path", "n"]
    assert row.split() == [rows[0]["path"], "1,000,000"]


ROWS = [
    {"image": "data/cats/img_0042.png", "label": "cat", "macs": 4_089_184_256, "error": None},
    {"image": "data/cats/img_0043.png", "label": "cat", "macs": 118_013_952, "error": None},
]


def draw(width, rows=ROWS, **layout):
    return draw_table(rows, list(rows[0]), width=width, layout=TableLayout(**layout))


def test_what_is_empty_goes_first_then_what_is_the_same_in_all_rows():
    assert draw(60)[0].split() == ["image", "label", "macs", "error"]
    lines = draw(47, whole="--format csv")
    assert lines[0].split() == ["image", "label", "macs"]
    assert lines[4:] == ["Empty, so not shown: error."]
    lines = draw(40, whole="--format json")
    assert lines[0].split() == ["image", "macs"]
    assert " ".join(lines[4:]) == (
        "The same in all: label cat. Empty, so not shown: error. A terminal of 51 columns shows "
        "all, and so does --format json."
    )


def test_the_order_of_the_layout_counts_where_the_rows_differ():
    rows = [{"a": f"name_{i}", "b": 10**8 + i, "c": 10**8 + i, "d": 10**8 + i} for i in (1, 2)]
    assert draw(34, rows, drop=["c", "d"])[0].split() == ["a", "b", "d"]
    assert draw(34, rows)[0].split() == ["a", "b", "c"]  # from the right
    assert draw(22, rows, keep=["d"])[0].split() == ["a", "d"]


def test_long_paths_lose_their_middle():
    lines = draw(34, paths=["image"])
    assert lines[2].startswith("data/…/img_0042.png ")
    assert "The same in all: label cat. " in " ".join(lines)
    assert "Shortened: image. A terminal of 51 columns shows all." in " ".join(lines)


def test_an_empty_column_goes_before_anything_is_cut():
    rows = [{"path": "photos/of/cats/img_0042.png", "n": n, "error": ""} for n in (1, 2)]
    assert draw(31, rows, paths=["path"], keep=["error"])[2:] == [
        "photos/of/cats/img_0042.png  1",
        "photos/of/cats/img_0042.png  2",
        "Empty, so not shown: error.",
    ]
    rows[1]["error"] = "it is cut short"
    for width in (20, 30, 40):
        lines = draw(width, rows, paths=["path"], words=["error"], keep=["n", "error"], drop=["n"])
        assert lines[0].split()[-1] == "error"


def test_columns_go_in_groups_and_may_have_other_headers():
    rows = [{"a": n, "label_2": f"cat {n}", "p_2": 0.123456 + n, "p_dog": 0.5 + n} for n in (1, 2)]
    layout = {"together": [("label_2", "p_2")], "headers": {"p_dog": "dog"}}
    assert draw(40, rows, **layout)[0].split() == ["a", "label_2", "p_2", "dog"]
    assert draw(17, rows, drop=["label_2"], **layout)[0].split() == ["a", "dog"]
    assert draw(17, rows, drop=["p_2"], **layout)[0].split() == ["a", "dog"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (999_999, "999,999"),
        (11_689_512, "11.69 M"),
        (4_089_184_256, "4.09 G"),
        (999_999_999, "1.00 G"),
        (1_016_717_000_000, "1.02 T"),
        (0.25, "0.2500"),
    ],
)
def test_large_numbers_are_short_where_the_layout_says_so(value, shown):
    lines = draw(40, [{"macs": value}], short=["macs"])
    assert lines[2].strip() == shown
    assert draw(40, [{"macs": 11_689_512}])[2].strip() == "11,689,512"


def test_sentences_wrap_at_spaces():
    rows = [{"word": "blur", "about": "a sentence that is longer than one line of the table is"}]
    lines = draw(40, rows, words=["about"])
    assert [line[6:] for line in lines[2:]] == [
        "a sentence that is longer than one",
        "line of the table is",
    ]


def test_a_line_break_or_tab_in_a_name_stays_in_its_cell():
    lines = draw(40, [{"name": "a\nb\tc"}])
    assert lines[2] == r"a\nb\tc"
