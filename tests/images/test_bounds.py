"""A small file cannot fill the memory, and an array is never read along the wrong axis unsaid."""

import io
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
import tifffile
from helpers import train

from cnncli.errors import CnncliError
from cnncli.images import decode as decode_module
from cnncli.images.decode import decode
from cnncli.images.formats import read_header
from cnncli.images.header import MAX_BYTES, ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.training.checkpoint import load_checkpoint

RNG = np.random.default_rng(0)


def npy_header(shape, dtype):
    file = io.BytesIO()
    declared = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
    np.lib.format.write_array_header_1_0(file, {**declared, "shape": shape})
    return file.getvalue()


def npz(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(members):
            archive.writestr(f"{number}.npy", data)
    return file.getvalue()


def tiff_of_pages(count, side):
    file = io.BytesIO()
    blank = np.zeros((side, side), np.float64)
    with tifffile.TiffWriter(file) as writer:
        for _ in range(count):
            writer.write(blank, compression="zlib", contiguous=False)
    return file.getvalue()


BOMBS = {
    "npy": lambda: npy_header((12_000, 12_000, 4), "f8"),
    "npz": lambda: npz([npy_header((9000, 9000, 8), "f4") + bytes(1000)]),
    "npz of many": lambda: npz([npy_header((9000, 9000), "f4") + bytes(9) for _ in range(8)]),
    "TIFF of pages": lambda: tiff_of_pages(50, 1500),
}


@pytest.mark.parametrize("name", BOMBS)
def test_channels_pages_and_bytes_count(name):
    data = BOMBS[name]()
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=f"is too large: .* more than {MAX_BYTES:,}"):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_a_deflated_dicom_is_counted_before_it_is_unpacked():
    pytest.importorskip("pydicom")
    unpack = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join(unpack.compress(bytes(1 << 24)) for _ in range(45)) + unpack.flush()
    syntax = b"\x02\x00\x10\x00UI\x16\x00" + b"1.2.840.10008.1.2.1.99"
    meta = b"\x02\x00\x00\x00UL\x04\x00" + len(syntax).to_bytes(4, "little") + syntax
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="is too large: it unpacks to more than"):
            read_header(bytes(128) + b"DICM" + meta + body)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def test_a_lack_of_memory_is_that_of_one_image(monkeypatch):
    file = io.BytesIO()
    np.save(file, np.zeros((9, 9), np.uint8))

    def fail(array):
        raise MemoryError

    monkeypatch.setattr(decode_module, "_simplify_type", fail)
    with pytest.raises(ImageError, match="too large for the memory"):
        Preprocess(8, 8, 1)([file.getvalue()])


@pytest.mark.parametrize(
    ("shape", "channels", "size"),
    [
        ((25, 25, 30), 30, (25, 25, 30)),
        ((25, 25, 30), 25, (25, 30, 25)),
        ((25, 26, 30), None, None),
        ((145, 145, 200), None, None),
        ((40, 50, 5), None, (40, 50, 5)),
        ((5, 40, 50), None, (40, 50, 5)),
        ((300, 310, 200), None, (300, 310, 200)),
        ((5, 40, 50), 50, (5, 40, 50)),
        ((40, 50, 5), 3, (40, 50, 5)),
    ],
)
def test_the_channels_are_the_axis_that_was_named(shape, channels, size):
    array = RNG.integers(0, 255, shape, dtype=np.uint8)
    file = io.BytesIO()
    np.save(file, array)
    data = file.getvalue()
    if size is None:
        with pytest.raises(ImageError, match=r"channels, by its first or last axis; --in-channels"):
            read_header(data, channels)
        return
    header = read_header(data, channels)
    assert (header.height, header.width, header.channels) == size
    expected = array if shape == size else np.moveaxis(array, 0, 2)
    np.testing.assert_array_equal(decode(data, header), expected)


def test_in_channels_decides_in_train(tmp_path):
    for number in range(24):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, RNG.integers(0, 255, (25, 25, 30), dtype=np.uint8))
    with pytest.raises(CnncliError, match="25 or 30 channels"):
        train(tmp_path / "runs", data=str(tmp_path / "data"))
    run = train(tmp_path / "runs", data=str(tmp_path / "data"), in_channels=30)
    assert load_checkpoint(run / "best.safetensors")[1].preprocess.channels == 30
