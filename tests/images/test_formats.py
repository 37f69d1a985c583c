"""The table of formats: every row is complete, documented, and read without the other formats."""

import importlib
import inspect
import io
from pathlib import Path

import numpy as np
import pytest
from fresh_process import HEAVY, run
from PIL import Image

from cnncli.images.formats import (
    FORMAT_NAMES,
    FORMATS,
    IMAGE_SUFFIXES,
    UNREAD_FORMATS,
    FormatModule,
    find_format,
    is_image,
)
from cnncli.images.header import ImageError

MODULES = sorted({row.module for row in FORMATS})
PAGE = Path(__file__).parents[2] / "docs" / "images.md"


@pytest.mark.parametrize("name", MODULES)
def test_each_module_has_the_functions_that_are_called(name):
    module = importlib.import_module(f"cnncli.images.{name}")
    for function in ("read_header", "decode_pixels"):
        wanted = list(inspect.signature(getattr(FormatModule, function)).parameters.values())[1:]
        assert list(inspect.signature(getattr(module, function)).parameters.values()) == wanted


def test_suffixes_are_unique_and_lower_case():
    suffixes = [suffix for row in (*FORMATS, *UNREAD_FORMATS) for suffix in row.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)
    assert frozenset(suffixes) == IMAGE_SUFFIXES


def test_messages_name_every_format():
    assert FORMAT_NAMES == "PNG, JPEG, TIFF, WebP, BMP, GIF, PNM, AVIF, JPEG 2000, NumPy or DICOM"
    with pytest.raises(
        ImageError, match=rf"^is not an image of a known format \({FORMAT_NAMES}\)$"
    ):
        find_format(b"%PDF-1.7")


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.suffixes[0])
def test_the_page_names_every_format(row):
    table = PAGE.read_text(encoding="utf-8").split("## Formats")[1].split("\n## ")[0]
    assert row.name in table


def test_an_archive_is_an_image_by_its_name_alone():
    file = io.BytesIO()
    np.savez(file, np.zeros((2, 3), np.uint8))
    assert find_format(file.getvalue()).suffixes == (".npz",)
    assert not is_image(file.getvalue())


@pytest.mark.parametrize(
    ("mark", "format_name"),
    [
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"GIF89a", "GIF"),
        (b"RIFF\0\0\0\0WEBP", "WebP"),
        (b"MM\0*", "TIFF"),
        (b"P5\n# by hand\n", "PNM"),
        (b"\x93NUMPY", "NumPy"),
        (b"\0" * 128 + b"DICM", "DICOM"),
    ],
)
def test_a_file_that_ends_behind_its_mark_is_damaged(mark, format_name):
    row = find_format(mark)
    assert row.name == format_name
    if row.module == "dicom":
        pytest.importorskip("pydicom", reason="the extra cnncli[dicom] is not installed")
    with pytest.raises(ImageError, match="is damaged or cut short"):
        row.load().read_header(mark)


def written(kind):
    file = io.BytesIO()
    if kind == "npy":
        np.save(file, np.zeros((2, 3), np.uint8))
    else:
        Image.new("L", (3, 2)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "module"), [("png", "raster"), ("jpeg", "raster"), ("tiff", "tiff"), ("npy", "npy")]
)
def test_a_header_is_read_without_the_other_formats(kind, module):
    code = f"""
from cnncli.images.formats import read_header
read_header({written(kind)!r})
sys.stderr.write(" ".join(m for m in sys.modules if m.startswith("cnncli.images.")))
"""
    modules, said = run(code=code)
    assert set(said.split()) & {f"cnncli.images.{name}" for name in MODULES} == {
        f"cnncli.images.{module}"
    }
    assert not modules & (HEAVY - {"cv2"})
    assert ("tifffile" in modules) == (kind == "tiff")
