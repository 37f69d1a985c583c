"""Records of a CSV: separators, and the line of each record."""

import csv
import io
import re

import pytest
from helpers import TINY_PNG, find_below, refuses_to_find
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli.data import table_texts
from cnncli.data.table_rows import find_line, open_table, read_header, read_records
from cnncli.errors import CnncliError

# Each starts with the byte order mark that Excel writes.
EXCEL = {
    "semicolons": "\ufeffpath;split\r\na, b.png;train\r\n",
    "tabs": "\ufeffpath\tsplit\r\na, b.png\ttrain\r\n",
    "sep": "\ufeffsep=;\r\npath;split\r\na, b.png;train\r\n",
    "blank": '\ufeff\r\n \r\npath,split\r\n"a, b.png",train\r\n',
}


@pytest.mark.parametrize("name", EXCEL)
def test_what_excel_writes_is_read(tmp_path, name):
    path = tmp_path / "x.csv"
    path.write_bytes(EXCEL[name].encode())
    first = {"sep": 2, "blank": 3}.get(name, 1)
    header, row = read_records(path)
    assert header == (first, ["path", "split"])
    assert row == (first + 1, ["a, b.png", "train"])
    assert read_header(path) == ["path", "split"]


def test_a_comma_in_the_header_wins(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a;b,c\td\n")
    assert read_header(path) == ["a;b", "c\td"]


def test_a_tsv_is_separated_by_tabs(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("image\tlabel, by eye\n1.png\tcat\n2.png\tdog\n")
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(TINY_PNG)
    samples = find_below(path, label="label, by eye")
    assert samples.class_names == ("cat", "dog")
    assert samples.paths.tolist() == ["1.png", "2.png"]


@pytest.mark.parametrize("head", [b"PK\x03\x04\x14\0\x06\0", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"])
@pytest.mark.parametrize("name", ["x.csv", "x.xlsx"])
def test_a_spreadsheet_is_told_as_such(tmp_path, head, name):
    path = tmp_path / name
    path.write_bytes(head + bytes(range(256)))
    refuses_to_find(path, r"is a spreadsheet.*, and no CSV.*; save it as CSV UTF-8$")


@pytest.mark.parametrize(("header", "row"), [(",", ";"), (";", ","), (",", "\t")])
def test_a_header_separated_otherwise_than_the_rows_is_told(tmp_path, header, row):
    path = tmp_path / "x.csv"
    path.write_text(f"image{header}label\n1.png{row}cat\n2.png{row}dog\n")
    refuses_to_find(
        path, re.escape(f"the first row is separated by {row!r}, and the header is not")
    )


def test_a_bar_separates_nothing(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("image|label\n1.png|cat\n")
    refuses_to_find(path, r"the header is separated by '\|'; separate the fields by commas")


@pytest.mark.parametrize(("header", "row"), [(",", ";"), (";", ","), (",", "\t")])
def test_a_row_further_down_that_is_separated_otherwise_is_told(tmp_path, header, row):
    path = tmp_path / "x.csv"
    path.write_text(f"image{header}label\n1.png{header}cat\n\n2.png{row}dog\n")
    refuses_to_find(path, re.escape(f"x.csv, line 4: is separated by {row!r}, and the header"))


@pytest.mark.parametrize("word", ["NaN", "NA", "None", "#N/A", "?", "null"])
def test_labels_that_read_as_if_there_were_none_are_told(tmp_path, word):
    path = tmp_path / "x.csv"
    path.write_text(f"image,label\n1.png,cat\n2.png,{word}\n3.png,{word}\n")
    for name in ("1.png", "2.png", "3.png"):
        (tmp_path / name).write_bytes(TINY_PNG)
    samples = find_below(path)
    assert set(samples.class_names) == {"cat", word}
    (told,) = samples.notes
    assert told.startswith(f"column 'label' has 2 times {word!r}, which programs write where")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1.png,cat\n2.png,dog\n", r"its first line names an image \(1.png\); begin the file with"),
        (
            "image,cat,dog,n\n1.png,1,0,1\n2.png,0.0,1.0,4\n",
            r"has image, cat, dog, n; cat, dog hold",
        ),
    ],
)
def test_tables_that_are_built_otherwise(tmp_path, text, why):
    path = tmp_path / "x.csv"
    path.write_text(text)
    refuses_to_find(path, why)


def test_minus_one_beside_other_numbers_is_told(tmp_path):
    for name in ("1.png", "2.png", "3.png"):
        (tmp_path / name).write_bytes(TINY_PNG)
    path = tmp_path / "x.csv"
    path.write_text("image,label\n1.png,0\n2.png,1\n3.png,-1\n")
    (told,) = find_below(path).notes
    assert told.startswith("column 'label' has 1 times '-1', which programs write where")
    path.write_text("image,label\n1.png,-2\n2.png,1\n3.png,-1\n")
    assert find_below(path).notes == ()


def test_a_quote_that_is_never_closed_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('a,b\n"1,2\n3,4\n')
    with pytest.raises(CnncliError, match=r"x.csv: not a CSV in UTF-8: unexpected end of data"):
        list(read_records(path))
    refuses_to_find(path, r"name the column with --image-col")


FIELD = st.text(st.sampled_from('ab ,;"\n\r\té'), max_size=4)
BLANK = st.sampled_from(["", " ", "  ", "\t", ",", ",,", " , "])


def write(rows, ending, delimiter):
    """Return the text of a CSV of lists of fields; a row that is a text stands as it is."""
    text = io.StringIO()
    for row in rows:
        if isinstance(row, str):
            text.write(row.replace(",", delimiter) + ending)
        else:  # which line breaks csv quotes by itself depends on Python's version
            quoting = csv.QUOTE_ALL if {*"\r\n"} & {*"".join(row)} else csv.QUOTE_MINIMAL
            writer = csv.writer(text, lineterminator=ending, delimiter=delimiter, quoting=quoting)
            writer.writerow(row)
    return text.getvalue()


@settings(deadline=None)
@given(
    rows=st.lists(BLANK | st.tuples(FIELD, FIELD, FIELD), max_size=12),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    delimiter=st.sampled_from([",", ";"]),
)
def test_every_record_has_its_line(tmp_path_factory, rows, ending, delimiter):
    """The text from a record's line on begins with that record."""
    path = tmp_path_factory.mktemp("t") / "x.csv"
    text = write([("image", "label", "x"), *rows], ending, delimiter)
    path.write_bytes(text.encode())
    records = [fields for part in table_texts._read_chunks(path, 3) for fields in part]
    assert len(records) == len(rows) + 1
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, record in enumerate(records):
        below = "\n".join(lines[find_line(path, number) - 1 :])
        expected = next(csv.reader(io.StringIO(below, newline=""), delimiter=delimiter), [])
        plain = [field.replace("\r\n", "\n").replace("\r", "\n") for field in record]
        assert [field.strip() for field in plain if field.strip()] == [
            field.strip() for field in expected if field.strip()
        ]


def test_a_chunk_does_not_count_its_records_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(table_texts, "_CHUNK", 2)
    path = tmp_path / "x.csv"
    path.write_text("image,label\n" + "a.png,x\n" * 4 + "b.png,\n")
    refuses_to_find(path, "line 6: column 'label' is empty")
    path.write_text("image,label\n" + "a.png,x\n" * 4 + "b.png,x,y\n")
    refuses_to_find(path, "line 6 has 3 fields, the header 2")


def test_an_error_while_reading_names_the_file(tmp_path):
    with pytest.raises(CnncliError, match=r"x.csv: cannot be read \(No such file"):
        read_header(tmp_path / "x.csv")
    path = tmp_path / "y.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 100_000 + b"\xff,2\n")
    with pytest.raises(CnncliError, match=r"y.csv: not a CSV in UTF-8"), open_table(path) as opened:
        opened[0].read()


def test_rows_of_any_length_are_read_to_the_letter(tmp_path):
    """Short rows before a long field; pandas before 3.1 cuts the field off, or crashes."""
    path = tmp_path / "x.csv"
    name = "x" * 100_000
    path.write_text("image,label\n" + "\n" * 5000 + f"a\n{name},b" + "," * 5000 + "\n")
    records = [fields for part in table_texts._read_chunks(path, 2) for fields in part]
    assert records == [["image", "label"], *[["", ""]] * 5000, ["a", ""], [name, "b"]]


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_an_archive_is_to_be_unpacked(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK")
    refuses_to_find(tmp_path / name, "is an archive; unpack it, and name its folder")
