"""DICOM: rescaling, windows and inverted grey, against pydicom's own functions and the standard."""

import io
import sys

import numpy as np
import pytest
from dicom_files import write_dicom as write

from cnncli.data.find_samples import find_samples
from cnncli.images.decode import decode
from cnncli.images.formats import HEAD_BYTES, is_image, read_header
from cnncli.images.header import ImageError
from cnncli.images.intensity import IntensityRange
from cnncli.images.preprocess import Preprocess
from cnncli.run.choose_preprocess import choose_intensity, survey_as_read

pydicom = pytest.importorskip("pydicom", reason="the extra cnncli[dicom] is not installed")

RNG = np.random.default_rng(0)


LEVELS = RNG.integers(0, 4096, (12, 17))


def test_bits_that_are_stored_are_the_full_scale():
    data = write(LEVELS)
    header = read_header(data)
    assert (header.format, header.bits, header.channels) == ("DICOM", 12, 1)
    assert (header.height, header.width) == LEVELS.shape
    assert is_image(data[:HEAD_BYTES])
    np.testing.assert_allclose(decode(data)[..., 0], LEVELS / 4095, atol=1e-6)


def test_monochrome1_is_inverted():
    data = write(LEVELS, colour="MONOCHROME1")
    np.testing.assert_allclose(decode(data)[..., 0], 1 - LEVELS / 4095, atol=1e-6)
    windowed = write(LEVELS, colour="MONOCHROME1", WindowCenter=2000, WindowWidth=1000)
    plain = write(LEVELS, WindowCenter=2000, WindowWidth=1000)
    np.testing.assert_allclose(decode(windowed), 1 - decode(plain), atol=1e-6)


@pytest.mark.parametrize(
    ("width", "function"),
    [(0, None), (0.5, "LINEAR"), (-400, "LINEAR"), (0, "LINEAR_EXACT"), (-4, "SIGMOID")],
)
def test_a_window_that_shows_nothing_is_told(width, function):
    """Source: DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3: LINEAR is 1 wide at least, others > 0."""
    tags = {"VOILUTFunction": function} if function else {}
    data = write(LEVELS, WindowCenter=2000, WindowWidth=width, **tags)
    with pytest.raises(ImageError, match=f"a display window {width:g} wide, which shows nothing"):
        decode(data)
    np.testing.assert_array_equal(decode(data, raw=True)[..., 0], LEVELS)


def test_a_window_of_width_one_parts_black_from_white():
    data = write(LEVELS, WindowCenter=2000, WindowWidth=1)
    np.testing.assert_array_equal(decode(data)[..., 0], LEVELS > 1999.5)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": 2, "RescaleIntercept": -1024}])
def test_the_files_window_is_pydicoms(function, rescale):
    from pydicom.pixels import apply_rescale, apply_windowing

    tags = {"WindowCenter": [300.0, 40], "WindowWidth": [1500.0, 80], **rescale}
    if function:
        tags["VOILUTFunction"] = function
    data = write(LEVELS, **tags)
    dataset = pydicom.dcmread(io.BytesIO(data))
    shown = apply_windowing(apply_rescale(dataset.pixel_array, dataset), dataset)
    # pydicom stretches the window over the values that the stored bits can mean.
    slope, intercept = rescale.get("RescaleSlope", 1), rescale.get("RescaleIntercept", 0)
    expected = (shown - intercept) / (4095 * slope)
    np.testing.assert_allclose(decode(data)[..., 0], expected, atol=1e-5)


def test_rescaled_units_without_a_window_stay_units():
    data = write(LEVELS - 2000, bits=16, signed=True, RescaleSlope=1, RescaleIntercept=-24)
    units = LEVELS - 2024.0
    np.testing.assert_array_equal(decode(data)[..., 0], units)
    with pytest.raises(ImageError, match="where fractions from 0 to 1 are expected"):
        Preprocess(8, 8, 1)((data,))
    # Inverted grey gives the units that a window of units is laid on.
    inverted = write(LEVELS, colour="MONOCHROME1", RescaleSlope=1, RescaleIntercept=0)
    np.testing.assert_array_equal(decode(inverted)[..., 0], 4095.0 - LEVELS)


def test_empty_tags_count_as_none():
    names = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "VOILUTFunction")
    data = write(LEVELS, VOILUTSequence=[], **dict.fromkeys(names))
    np.testing.assert_array_equal(decode(data), decode(write(LEVELS)))
    np.testing.assert_array_equal(decode(data, raw=True), decode(write(LEVELS), raw=True))


def test_a_window_is_found_in_the_units_that_it_is_laid_on(tmp_path):
    """Half of the files have a window of their own, which counts no more beside a window of all."""
    for number in range(10):
        # Only those with a window of their own have the bright values.
        window = {"WindowCenter": 0, "WindowWidth": 10} if number % 2 else {}
        stored = LEVELS if window else LEVELS // 4
        path = tmp_path / "ab"[number % 4 // 2] / f"{number}.dcm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(write(stored, RescaleSlope=1, RescaleIntercept=-1024, **window))
    survey = survey_as_read(find_samples(str(tmp_path)), None, threads=1)
    low, high = LEVELS.min() - 1024.0, LEVELS.max() - 1024.0
    (window,) = choose_intensity(None, survey)[1]
    np.testing.assert_allclose([window.low, window.high], [low, high], atol=30)


def test_a_window_of_units_overrides_the_files_own():
    data = write(LEVELS, RescaleIntercept=-1024, RescaleSlope=1, WindowCenter=0, WindowWidth=10)
    preprocess = Preprocess(
        12, 17, 1, dtype="float32", windows=(IntensityRange(-1000, 400, "value"),)
    )
    expected = np.clip((LEVELS - 1024.0 + 1000) / 1400, 0, 1)
    np.testing.assert_allclose(preprocess((data,))[..., 0], expected, atol=1e-6)
    inverted = write(LEVELS, colour="MONOCHROME1", RescaleIntercept=-1024, RescaleSlope=1)
    mirrored = np.clip((4095.0 - LEVELS - 1024 + 1000) / 1400, 0, 1)
    np.testing.assert_allclose(preprocess((inverted,))[..., 0], mirrored, atol=1e-6)


def test_a_lookup_table_is_applied():
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    curve = np.sqrt(np.arange(4096) / 4095) * 255
    table[0x00283006] = DataElement(0x00283006, "US", curve.astype(int).tolist())
    data = write(LEVELS, VOILUTSequence=Sequence([table]))
    np.testing.assert_allclose(decode(data)[..., 0], curve.astype(int)[LEVELS] / 255, atol=1e-6)


def test_colour_and_frames():
    colours = RNG.integers(0, 256, (9, 11, 3))
    data = write(colours, bits=8, colour="RGB")
    assert read_header(data).channels == 3
    np.testing.assert_allclose(decode(data), colours / 255, atol=1e-6)
    frames = RNG.integers(0, 4096, (4, 9, 11))
    data = write(frames, frames=4)
    assert (read_header(data).channels, read_header(data).frames) == (4, 4)
    np.testing.assert_allclose(decode(data), np.moveaxis(frames, 0, 2) / 4095, atol=1e-6)


@pytest.mark.parametrize("percent", [30, 70, 95])
def test_half_a_file_is_refused(percent, capfd):
    data = write(LEVELS)
    with pytest.raises(ImageError) as caught:
        decode(data[: len(data) * percent // 100])
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().out == ""


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    data = write(LEVELS)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(
        ImageError, match=r"is DICOM, which needs pydicom: pip install .*cnncli\[dicom\]"
    ):
        decode(data)


@pytest.mark.parametrize("start", [132, None])
def test_a_file_without_preamble_is_read(start):
    """Cut off are the preamble alone (132 bytes), or the file meta information as well."""
    data = write(LEVELS, Modality="CT")
    start = start or 144 + int.from_bytes(data[140:144], "little")
    assert is_image(data[start:][:HEAD_BYTES])
    np.testing.assert_array_equal(decode(data[start:]), decode(data))


def test_a_dicomdir_is_no_image(tmp_path):
    for name in ("a/1.dcm", "b/2.dcm", "a/DICOMDIR"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(write(LEVELS))
    samples = find_samples(str(tmp_path))
    assert samples.paths.tolist() == ["a/1.dcm", "b/2.dcm"]
    assert samples.skipped == 1


@pytest.mark.parametrize("colour", ["MONOCHROME1", "MONOCHROME2"])
def test_units_beyond_float32_are_named(colour):
    data = write(LEVELS, colour=colour, RescaleSlope="1e300", RescaleIntercept=0)
    with pytest.raises(ImageError, match="which is beyond float32"):
        decode(data, raw=True)


def test_convolve_says_which_numbers_it_takes(cli, tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(write(LEVELS))
    result = cli("convolve", path, "--kernel", "1")
    assert result.code == 0
    assert "a.dcm: DICOM, as it is displayed: black is 0 and white is 1" in result.err
    rows = [list(map(float, line.split(","))) for line in result.out.split()]
    np.testing.assert_allclose(rows, LEVELS / 4095, atol=1e-6)


def test_a_table_of_contents_has_no_picture():
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    dataset.PatientName = "A"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=False)
    data = b"\0" * 128 + b"DICM" + file.getvalue().removeprefix(b"\0" * 128 + b"DICM")
    with pytest.raises(
        ImageError, match="is a DICOMDIR, the table of contents of a disc, and no picture"
    ):
        read_header(data)
