"""Single header fields of DICOM: against a full reading of pydicom's own files."""

import io
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_dicom

from cnncli.errors import CnncliError
from cnncli.images.dicom_fields import find_tag, read_field

pydicom = pytest.importorskip("pydicom", reason="the extra cnncli[dicom] is not installed")

# pydicom ships files of all encodings: big and little endian, implicit, deflated, without preamble.
FILES = sorted(Path(pydicom.__file__).parent.glob("data/test_files/*.dcm"))


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID", "Rows", "ImageType"])
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_every_file_of_pydicom_says_what_a_full_reading_says(keyword):
    tag = find_tag(keyword, "flag")
    known = 0
    for path in FILES:
        said = read_field(str(path), tag)
        value = pydicom.dcmread(path, force=True).get(keyword, "")
        if isinstance(value, pydicom.multival.MultiValue):
            value = "\\".join(str(part).strip() for part in value)
        if said is not None:  # files without any mark are no DICOM to cnncli
            assert said == str("" if value is None else value).strip(), path.name
            known += bool(said)
    assert known > len(FILES) / 3


def test_a_field_of_the_file_meta_information(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(write_dicom(np.zeros((4, 4)), PatientID=" p1 "))
    assert read_field(str(path), find_tag("TransferSyntaxUID", "f")) == "1.2.840.10008.1.2.1"
    assert read_field(str(path), find_tag("PatientID", "f")) == "p1"
    assert read_field(str(path), find_tag("PatientName", "f")) == ""


def test_what_is_no_dicom_and_what_is_damaged(tmp_path):
    whole = write_dicom(np.zeros((4, 4)), PatientID="p1")
    files = {"picture.png": b"\x89PNG\r\n\x1a\n", "empty.dcm": b"", "cut.dcm": whole[:140]}
    said = {}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        said[name] = read_field(str(tmp_path / name), find_tag("PatientID", "f"))
    assert said == {"picture.png": None, "empty.dcm": None, "cut.dcm": ""}


def test_a_deflated_file_that_would_fill_the_memory_is_not_unpacked(tmp_path, monkeypatch):
    from pydicom.uid import DeflatedExplicitVRLittleEndian as Deflated

    dataset = pydicom.dcmread(io.BytesIO(write_dicom(np.zeros((64, 64)), PatientID="p1")))
    dataset.file_meta.TransferSyntaxUID = Deflated
    dataset.save_as(tmp_path / "a.dcm")
    tag = find_tag("PatientID", "f")
    assert read_field(str(tmp_path / "a.dcm"), tag) == "p1"
    monkeypatch.setattr("cnncli.images.dicom.MAX_BYTES", 1000)
    assert read_field(str(tmp_path / "a.dcm"), tag) == ""


@pytest.mark.parametrize(
    ("keyword", "told"),
    [
        ("PatientId", "'PatientId' is no keyword of a DICOM header field; did you mean PatientID"),
        ("", "'' is no keyword of a DICOM header field, such as PatientID"),
        ("PixelData", "holds bytes, and no text or number"),
        ("ReferencedStudySequence", "holds other fields, and no text or number"),
    ],
)
def test_keywords_that_name_no_group(keyword, told):
    with pytest.raises(CnncliError) as caught:
        find_tag(keyword, "--group-col dicom:x")
    assert str(caught.value).startswith(f"--group-col dicom:x: {told}")
