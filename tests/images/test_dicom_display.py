"""How DICOM values are shown: functional groups, tables, high bits, floats and palettes."""

import io

import numpy as np
import pytest
from dicom_files import write_dicom

from cnncli.images.decode import decode
from cnncli.images.formats import read_header
from cnncli.images.header import ImageError

pydicom = pytest.importorskip("pydicom", reason="the extra cnncli[dicom] is not installed")

RNG = np.random.default_rng(0)
LEVELS = RNG.integers(0, 4096, (12, 17))
TWO = np.stack([LEVELS, LEVELS[::-1]])
SIDE_BY_SIDE = np.moveaxis(TWO, 0, 2)


def item(**fields):
    dataset = pydicom.Dataset()
    for name, value in fields.items():
        setattr(dataset, name, value)
    return dataset


def sequence(**fields):
    return pydicom.Sequence([item(**fields)])


def rescaled(slope, intercept):
    return sequence(RescaleSlope=slope, RescaleIntercept=intercept)


def table(entries, first=0, bits=16, kind="US"):
    """Return a lookup table's sequence, of whole numbers or, with OW, of the bytes given."""
    found = item(LUTDescriptor=[len(entries), first, bits], LUTData=entries)
    found["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    found["LUTData"].VR = kind
    return pydicom.Sequence([found])


def windowed(values, centre, width):
    """Source: DICOM PS3.3, C.11.2.1.2, LINEAR."""
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def test_units_of_all_frames_stand_in_the_shared_groups():
    groups = sequence(PixelValueTransformationSequence=rescaled(1, -1024))
    data = write_dicom(TWO, frames=2, SharedFunctionalGroupsSequence=groups)
    np.testing.assert_array_equal(decode(data, raw=True), SIDE_BY_SIDE - 1024)
    np.testing.assert_array_equal(decode(data), SIDE_BY_SIDE - 1024)  # units, without a window


def test_the_window_of_all_frames_stands_in_the_shared_groups():
    groups = sequence(
        PixelValueTransformationSequence=rescaled(1, -1024),
        FrameVOILUTSequence=sequence(WindowCenter=40, WindowWidth=400),
    )
    data = write_dicom(TWO, frames=2, SharedFunctionalGroupsSequence=groups)
    np.testing.assert_allclose(decode(data), windowed(SIDE_BY_SIDE - 1024, 40, 400), atol=1e-6)


@pytest.mark.parametrize("colour", ["MONOCHROME2", "MONOCHROME1"])
def test_each_frame_has_its_own_slope_and_window(colour):
    rows = [
        item(
            PixelValueTransformationSequence=rescaled(slope, intercept),
            FrameVOILUTSequence=sequence(WindowCenter=centre, WindowWidth=900),
        )
        for slope, intercept, centre in ((1, 0, 2000), (2, 100, 4000))
    ]
    groups = pydicom.Sequence(rows)
    data = write_dicom(TWO, frames=2, colour=colour, PerFrameFunctionalGroupsSequence=groups)
    units = [TWO[0], TWO[1] * 2 + 100]
    shown = np.stack([windowed(units[0], 2000, 900), windowed(units[1], 4000, 900)], axis=2)
    inverted = colour == "MONOCHROME1"
    np.testing.assert_allclose(decode(data), 1 - shown if inverted else shown, atol=1e-6)
    expected = [4095 - units[0], (4095 * 2 + 100) + 100 - units[1]] if inverted else units
    np.testing.assert_array_equal(decode(data, raw=True), np.stack(expected, axis=2))


def test_an_intercept_alone_makes_units():
    data = write_dicom(LEVELS, RescaleIntercept=-1024)
    np.testing.assert_array_equal(decode(data)[..., 0], LEVELS - 1024)
    np.testing.assert_array_equal(decode(data, raw=True)[..., 0], LEVELS - 1024)


def test_groups_for_another_number_of_frames_are_refused():
    groups = sequence(PixelValueTransformationSequence=rescaled(1, 0))
    data = write_dicom(TWO, frames=2, PerFrameFunctionalGroupsSequence=groups)
    with pytest.raises(ImageError, match="it has 2 frames, and its functional groups describe 1"):
        decode(data)


def test_a_modality_table_is_shown_without_a_window_too():
    falling = [65535 - 16 * level for level in range(4096)]
    for colour in ("MONOCHROME2", "MONOCHROME1"):
        data = write_dicom(LEVELS, colour=colour, ModalityLUTSequence=table(falling))
        looked_up = 65535 - 16 * LEVELS
        units = 65535 - looked_up if colour == "MONOCHROME1" else looked_up
        np.testing.assert_allclose(decode(data)[..., 0], units / 65535, atol=1e-6)
        np.testing.assert_array_equal(decode(data, raw=True)[..., 0], units)


def test_entries_of_tables_have_no_sign_and_the_first_value_has():
    """Source: DICOM PS3.3, C.11.1.1.1."""
    rising = [16 * level for level in range(4096)]
    signed = LEVELS - 2048
    lut = table(rising, first=-2048)
    data = write_dicom(signed, bits=16, signed=True, ModalityLUTSequence=lut)
    np.testing.assert_array_equal(decode(data, raw=True)[..., 0], 16 * LEVELS)
    lut = table(rising, first=-2048)
    data = write_dicom(signed, bits=16, signed=True, VOILUTSequence=lut)
    np.testing.assert_allclose(decode(data)[..., 0], 16 * LEVELS / 65535, atol=1e-6)


def test_a_table_of_bytes_has_an_entry_in_each():
    falling = bytes(range(255, -1, -1))
    lut = table(falling, bits=8, kind="OW")
    data = write_dicom(LEVELS >> 4, bits=8, VOILUTSequence=lut)
    np.testing.assert_allclose(decode(data)[..., 0], 1 - (LEVELS >> 4) / 255, atol=1e-6)


def test_the_table_of_an_angiography_is_not_for_display():
    falling = [65535 - 16 * level for level in range(4096)]
    kind = "1.2.840.10008.5.1.4.1.1.12.1"
    data = write_dicom(LEVELS, SOPClassUID=kind, ModalityLUTSequence=table(falling))
    np.testing.assert_allclose(decode(data)[..., 0], LEVELS / 4095, atol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_that_lie_high_are_moved_down(signed):
    values = LEVELS - 2048 if signed else LEVELS
    window = {"WindowCenter": 0 if signed else 2048, "WindowWidth": 1000}
    data = write_dicom(values << 4, signed=signed, bits=12, HighBit=15, **window)
    expected = windowed(values, window["WindowCenter"], 1000)
    np.testing.assert_allclose(decode(data)[..., 0], expected, atol=1e-6)


def test_floats_are_units():
    dataset = pydicom.dcmread(io.BytesIO(write_dicom(LEVELS)))
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.BitsAllocated = 32
    dataset.FloatPixelData = (LEVELS / 7).astype("<f4").tobytes()
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    assert read_header(file.getvalue()).bits == 32
    np.testing.assert_allclose(decode(file.getvalue())[..., 0], LEVELS / 7, rtol=1e-6)


def test_each_frame_has_the_colours_of_a_palette():
    index = TWO >> 4
    colours = {"Red": 255 - np.arange(256), "Green": np.arange(256), "Blue": np.arange(256) // 2}
    tags = {}
    for name, values in colours.items():
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = (values * 257).astype("<u2").tobytes()
    data = write_dicom(index, bits=8, frames=2, colour="PALETTE COLOR", **tags)
    rows = [values[frame] / 255 for frame in index for values in colours.values()]
    assert read_header(data).channels == 6
    np.testing.assert_allclose(decode(data), np.stack(rows, axis=2), atol=1e-6)
