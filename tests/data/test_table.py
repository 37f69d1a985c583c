"""Images named in a CSV: its columns, its paths and ids, and what is wrong with it."""

import pytest
from helpers import TINY_PNG, find_below, labels_by_path, refuses_to_find

from cnncli.data.samples import NO_SPLIT
from cnncli.data.splits import TEST, TRAIN, VAL


def table(write, text, *images, name="labels.csv"):
    write(*images)
    data = text if isinstance(text, bytes) else text.encode()
    return write(name, data=data) / name


@pytest.mark.parametrize(
    "header", ["image,label", "Path,CLASS", "filename,target", "id_code,diagnosis", "img, level"]
)
def test_usual_columns_are_found(write, header):
    path = table(write, f"{header}\nx/1.png,a\n2.png,b\n", "x/1.png", "2.png")
    samples = find_below(path)
    assert labels_by_path(samples) == {"x/1.png": "a", "2.png": "b"}
    assert (samples.splits == NO_SPLIT).all()
    assert samples.groups is None
    assert labels_by_path(find_below(path.parent)) == labels_by_path(samples)  # a folder with one
    assert samples.source.read(1) == (TINY_PNG,)


def test_chosen_columns_splits_and_groups(write):
    path = table(
        write,
        "n,where,what,part,who\n1,1.png,a,Train,x\n2,2.png,b,valid,y\n3,3.png,a,test,\n4,4.png,b,val,\n",
        *("1.png", "2.png", "3.png", "4.png"),
    )
    samples = find_below(path, image="where", label="what", split="part", group="who")
    assert list(labels_by_path(samples).values()) == ["a", "b", "a", "b"]
    assert samples.splits.tolist() == [TRAIN, VAL, TEST, VAL]
    # An empty group is none: such images do not belong together.
    assert list(samples.groups) == ["x", "y", "3.png", "4.png"]
    refuses_to_find(path, "name the column with --image-col; it has n, where, what")
    refuses_to_find(path, "name the column with --label-col", image="where")
    refuses_to_find(path, "--image-col wher: .* no such column.*did you mean where", image="wher")


def test_words_of_folders_of_splits_are_read_in_a_column_too(write):
    words = ["Training", "train", "dev", "validation", "Testing", "hold-out"]
    rows = "".join(f"{n}.png,{'ab'[n % 2]},{word}\n" for n, word in enumerate(words))
    path = table(write, f"image,label,split\n{rows}", *(f"{n}.png" for n in range(6)))
    samples = find_below(path)
    assert samples.splits.tolist() == [TRAIN, TRAIN, VAL, VAL, TEST, TEST]
    assert samples.remarks == (
        "in column 'split' 'Training' is train, 'dev' is val, 'Testing' is test, 'hold-out' is "
        "test",
    )
    for word in ("train_station", "unlabeled", "mask", "1", "train/test"):
        path.write_text(f"image,label,split\n0.png,a,train\n1.png,b,{word}\n")
        refuses_to_find(path, f"line 3: split '{word}' is none of train, val")


def test_ids_with_and_without_ending_anywhere_below(write):
    path = table(
        write,
        "image,label\n007,a\nimg/v1.2,b\n3.png,a\n4,b\nscan,a\n",
        *("deep/007.png", "img/v1.2.png", "deep/er/3.png", "deep/4.jpg", "scan.png"),
    )
    write("scan.txt", "deep/4.json", data=b"{}")  # notes beside an image are no second image
    assert list(labels_by_path(find_below(path))) == [
        "deep/007.png",
        "img/v1.2.png",
        "deep/er/3.png",
        "deep/4.jpg",
        "scan.png",
    ]


def test_a_folder_in_an_id_tells_equal_names_apart(write):
    path = table(write, "image,label\nx/1,a\ny/1,b\n", "img/x/1.png", "img/y/1.png")
    assert labels_by_path(find_below(path)) == {"img/x/1.png": "a", "img/y/1.png": "b"}


def test_a_namesake_in_another_folder_is_no_stand_in(write):
    path = table(write, "image,label\nx/1.png,a\ny/2.png,b\n", "x/1.png", "x/2.png", "y/3.png")
    refuses_to_find(path, "line 3: image 'y/2.png' not found below")


def test_backslashes_and_dots_in_paths(write):
    path = table(write, "image,label\nx\\1.png,a\n./y//../x/2.png,b\n", "x/1.png", "x/2.png", "y/z")
    assert list(labels_by_path(find_below(path))) == ["x/1.png", "x/2.png"]


def test_absolute_paths(write, tmp_path):
    (tmp_path / "1.png").write_bytes(TINY_PNG)
    path = table(write, f"image,label\n{tmp_path}/1.png,a\n2.png,b\n", "2.png")
    samples = find_below(path)
    assert list(labels_by_path(samples)) == [f"{tmp_path}/1.png", "2.png"]
    assert samples.source.read(0) == (TINY_PNG,)


def test_values_stay_text(write):
    samples = find_below(
        table(write, "id,label\n1.png,NA\n2.png,01\n3.png,null\n", "1.png", "2.png", "3.png")
    )
    assert list(labels_by_path(samples).values()) == ["NA", "01", "null"]


def test_bom_quotes_blank_lines_and_a_trailing_comma(write):
    text = '\ufeffimage,label\n"a, b.png","x, y"\n\n2.png,"says ""z"""\n'
    samples = find_below(table(write, text, "a, b.png", "2.png"))
    assert labels_by_path(samples) == {"a, b.png": "x, y", "2.png": 'says "z"'}
    path = table(write, "image,label\n1.png,a,\n2.png,b,\n", "1.png", name="labels.csv")
    assert labels_by_path(find_below(path)) == {"1.png": "a", "2.png": "b"}


@pytest.mark.parametrize("text", ["{0};{1}\n", "sep=;\n{0};{1}\n", "{0}\t{1}\n"])
def test_what_excel_writes_is_read(write, text):
    """Separators by the country, and rows of separators alone behind and below the table."""
    head, mark = text.format("image", "label"), ";" if ";" in text else "\t"
    rows = f"1.png{mark}1,5\n2.png{mark}NA{mark * 3}\n{mark}\n{mark * 3}\n"
    path = table(write, f"\ufeff{head}{rows}".replace("\n", "\r\n"), "1.png", "2.png")
    assert labels_by_path(find_below(path)) == {"1.png": "1,5", "2.png": "NA"}
    assert labels_by_path(find_below(path.parent)) == {"1.png": "1,5", "2.png": "NA"}


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
        ("image,label,split\n1.png,a,train\n2.png,b,other\n", "line 3: split 'other' is none of"),
        ("image,label,split\n1.png,a,train\n2.png,b,\n", "line 3: split '' is none of"),
        ('image,label\n\n\n"1.png",a\n \n2.png,\n', "line 6: column 'label' is empty"),
        ('image,x,label\n1.png,"two\nlines",a\n\nno.png,,b\n', "line 5: image 'no.png' not"),
        ("image,label\n\n1.png,a\n\n\n1.png,a\n", "line 6: '1.png' stands in line 3 already"),
        (
            "image,label\n1.png,a\n2.png,\u200b\n",
            r"line 3: column 'label' holds '.u200b', of which",
        ),
        ("image,label\n1.png,a\n2.png,\0\n", r"line 3: column 'label' holds '.x00', of which"),
        ("image,label\n", "no rows below the header"),
        ("image,label,label\n1.png,a,b\n2.png,b,a\n", "column 'label' is there twice"),
        ("", "not a CSV in UTF-8"),
        ('image,label\n"1.png,a\n', "not a CSV in UTF-8"),
        ("image,label\n1.png,a\n2.png,b,c,d\n", "not a CSV in UTF-8"),
        ("image,label\n1.png,größe\n".encode("latin-1"), "not a CSV in UTF-8"),
        ("image,label\n1.png,a\n".encode("utf-16"), "it is in UTF-16, .* save it as CSV UTF-8"),
        ("image;label\n1.png;a\nno.png;b\n", "line 3: image 'no.png' not found below"),
        ("sep=;\nimage;label\n1.png;a\nno.png;b\n", "line 4: image 'no.png' not found below"),
        ("image,label\n1.png,a\n,\n,,,\n2.png,\n", "line 5: column 'label' is empty"),
        ("image,label\n1.png,a\n2.png,b" + ",c" * 20, "line 3 has 22 fields, the header 2"),
        ("image,label\n\n1.png,a\n2.png,b, c\n", "line 4 has 3 fields, the header 2"),
        ("image\n1.png\n", "name the column with --label-col; it has image"),
    ],
)
def test_a_wrong_csv_is_told_with_its_line(write, text, why):
    path = table(write, text, "1.png", "2.png", "p/same.png")
    write("q/same.png", data=TINY_PNG + b"\0")
    refuses_to_find(path, why)


def test_several_csvs_must_be_chosen_from(write):
    path = table(write, "image,label\n1.png,a\n", "1.png")
    table(write, "image,label\n1.png,a\n", name="more.csv")
    refuses_to_find(path.parent, r"several CSV files \(labels.csv, more.csv\); name one of them")
    assert labels_by_path(find_below(path)) == {"1.png": "a"}


def test_a_csv_beside_one_folder_names_its_images(write):
    path = table(write, "image_id,label\n1,a\n2,b\n", "images/1.png", "images/2.png")
    assert labels_by_path(find_below(path.parent)) == {"images/1.png": "a", "images/2.png": "b"}


def test_a_csv_beside_class_folders_is_not_read_but_told(write):
    path = table(write, "image,label\na/1.png,x\n", "a/1.png", "b/2.png")
    samples = find_below(path.parent)
    assert samples.class_names == ("a", "b")
    assert samples.skipped == 1
    assert samples.remarks == ("labels.csv beside the folders is not read; name it to use it",)
    write("train/a/1.png", "test/a/2.png")
    path.rename(path.parent / "train" / "x.csv")
    assert not [text for text in find_below(path.parent).remarks if "csv" in text]


def test_a_csv_beside_split_folders_with_classes_is_not_read(write):
    path = table(write, "id,label\n1,x\n", "train/a/1.png", "train/b/2.png", "test/a/3.png")
    samples = find_below(path.parent)
    assert samples.class_names == ("a", "b")
    assert "labels.csv beside the folders" in samples.remarks[0]


def test_a_file_that_is_not_found_names_the_flag_for_columns(write):
    text = "id,picture,label\nimage_1,a.png,x\nimage_2,b.png,y\n"
    path = table(write, text, "a.png", "b.png")
    refuses_to_find(path, "line 2: image 'image_1' not found below .*give it by --image-col")
    assert labels_by_path(find_below(path, image="picture")) == {"a.png": "x", "b.png": "y"}


@pytest.mark.parametrize("name", ["image_1", "path1", "File_1", "img_0"])
def test_a_single_numbered_column_names_the_images(write, name):
    path = table(write, f"{name},label\na.png,x\nb.png,y\n", "a.png", "b.png")
    samples = find_below(path)
    assert labels_by_path(samples) == {"a.png": "x", "b.png": "y"}
    assert samples.files == 1


def test_of_two_numbered_columns_neither_is_chosen(write):
    path = table(write, "image_1,path_1,label\na.png,b.png,x\n", "a.png", "b.png")
    refuses_to_find(path, "--image-col")
