"""Groups from headers of DICOM files: in folders, in tables, in check-data, and as a proposal."""

import csv
import json

import numpy as np
import pytest
from dicom_files import write_dicom
from helpers import TINY_PNG, refuses_to_find

from cnncli.data.dicom_groups import propose_patients
from cnncli.data.find_samples import find_samples
from cnncli.data.samples import CsvColumns

pytest.importorskip("pydicom", reason="the extra cnncli[dicom] is not installed")

COLUMN = "dicom:PatientID"


def write_patients(root, patients, classes=("ill", "well")):
    """Write a DICOM file for each patient of a list; an empty name is no patient."""
    for number, patient in enumerate(patients):
        folder = root / classes[number % len(classes)]
        folder.mkdir(parents=True, exist_ok=True)
        tags = {"PatientID": patient} if patient else {}
        pixels = np.random.default_rng(number).integers(0, 4096, (8, 8))
        (folder / f"{number:03d}.dcm").write_bytes(write_dicom(pixels, **tags))
    return root


@pytest.fixture
def data(tmp_path):
    """Return a folder of 40 files, two of each class beside each other of one patient."""
    return write_patients(tmp_path / "data", [f"p{number // 4}" for number in range(40)])


def read_split(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_images_of_a_patient_stay_together(cli, data, tmp_path):
    result = cli("split", data, "--group-col", COLUMN, "--output", tmp_path / "s.csv")
    assert result.code == 0
    rows = read_split(tmp_path / "s.csv")
    splits = {}
    for row in rows:
        assert row["group"] == f"p{int(row['path'][-7:-4]) // 4}"
        splits.setdefault(row["group"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "val", "test"}
    assert "Warning" not in result.err
    unaware = cli("split", data, "--output", tmp_path / "t.csv")
    assert unaware.err.startswith(
        "Warning: the header field PatientID has 10 values in 40 DICOM files: keep the images of "
        "a patient in one split with --group-col dicom:PatientID\n"
    )


def test_a_table_of_dicom_files_and_files_without_the_field(tmp_path):
    write_patients(tmp_path, ["a", "a", "", "b"])
    (tmp_path / "ill" / "x.png").write_bytes(TINY_PNG)
    table = tmp_path / "t.csv"
    names = [*(f"{c}/{n:03d}.dcm" for n, c in enumerate(["ill", "well"] * 2)), "ill/x.png"]
    table.write_text("image,label\n" + "".join(f"{n},{n[0]}\n" for n in names))
    samples = find_samples(str(table), CsvColumns(group=COLUMN))
    assert samples.groups.tolist() == ["a", "a", "ill/002.dcm", "b", "ill/x.png"]
    (note,) = samples.notes
    assert note == (
        "2 of 5 images have no PatientID, of which 1 is no DICOM, and each is a group by itself: "
        "ill/002.dcm, ill/x.png"
    )


def test_the_channels_of_a_sample_are_of_one_patient(tmp_path):
    write_patients(tmp_path, ["a", "a", "b", "b"])
    table = tmp_path / "t.csv"
    rows = ["ill/000.dcm,well/001.dcm,x", "ill/002.dcm,well/003.dcm,y"]
    table.write_text("\n".join(["image_1,image_2,label", *rows]))
    assert find_samples(str(table), CsvColumns(group=COLUMN)).groups.tolist() == ["a", "b"]
    table.write_text(
        "image_1,image_2,label\nill/000.dcm,well/003.dcm,x\nill/002.dcm,well/001.dcm,y"
    )
    refuses_to_find(table, r"files of one sample differ in it \(ill/000.*: a, b\)", group=COLUMN)


@pytest.mark.parametrize(
    ("command", "flag", "told"),
    [
        (
            ("check-data", "digits"),
            COLUMN,
            "none of the 1,797 images of --data digits is a DICOM file",
        ),
        (("check-data", "data"), "dicom:PatientName", "none of the DICOM files of --data data has"),
        (("train", "data"), "dicom:PatientIdd", "did you mean PatientID"),
        (("split", "data"), "dicom:", "'' is no keyword of a DICOM header field"),
    ],
)
def test_mistakes_are_one_line(cli, data, monkeypatch, command, flag, told):
    monkeypatch.chdir(data.parent)
    result = cli(*command, "--group-col", flag)
    assert result.code == 2
    assert result.error.startswith(f"--group-col {flag}: ")
    assert told in result.error


def test_check_data_looks_at_all_files_and_finds_torn_patients(cli, tmp_path):
    patients = [f"p{number // 4}" for number in range(40)]
    root = tmp_path / "data"
    write_patients(root / "train", patients)
    write_patients(root / "val", ["p0", "p0", "q", "q", "r", "r"], ("ill", "well"))
    found = json.loads(cli("check-data", root, "--format", "json", "--no-cache").out)["findings"]
    (finding,) = [finding for finding in found if finding["kind"] == "shared-ids"]
    assert finding["text"].startswith(
        "the header field PatientID has 12 values in 46 DICOM files; 1 of them in several splits "
        "(1 in train and val); keep the images of a patient in one split with --group-col"
    )
    assert len(finding["groups"]) == 12
    found = cli("check-data", root, "--group-col", COLUMN, "--format", "json", "--no-cache")
    (finding,) = [f for f in json.loads(found.out)["findings"] if f["kind"] == "group-leak"]
    assert "1 group in several splits: 1 in train and val (p0)" in finding["text"]


@pytest.mark.parametrize(
    ("patients", "fires"),
    [
        (["a", "a", "b", "b"], True),
        (["a", "b", "c", "d"], False),  # each file of a patient of its own
        (["anonymous"] * 4, False),  # nothing tells patients apart
        ([""] * 4, False),
    ],
)
def test_when_groups_are_proposed(tmp_path, patients, fires):
    samples = find_samples(str(write_patients(tmp_path, patients)))
    assert (propose_patients(samples) is not None) is fires


def test_of_a_large_set_only_some_headers_are_read(data, monkeypatch):
    read = []

    def count(path, tag):
        from cnncli.images.dicom_fields import read_field

        read.append(path)
        return read_field(path, tag)

    monkeypatch.setattr("cnncli.data.dicom_groups.read_field", count)
    monkeypatch.setattr("cnncli.data.dicom_groups._PLACES", 3)
    monkeypatch.setattr("cnncli.data.dicom_groups._IN_A_ROW", 4)
    text = propose_patients(find_samples(str(data)))
    assert len(read) == 12
    assert "12 DICOM files that were looked at: keep" in text


def test_one_patient_cannot_be_split(cli, tmp_path):
    data = write_patients(tmp_path / "data", ["anonymous"] * 20)
    result = cli("split", data, "--group-col", COLUMN, "--output", tmp_path / "s.csv")
    assert result.code == 2
    assert result.error == "--data: no image is left for validation: all images are of one group"


def test_a_patient_called_na_is_none(tmp_path):
    write_patients(tmp_path, ["a", "NA", "a", "NA"])
    samples = find_samples(str(tmp_path), CsvColumns(group=COLUMN))
    assert sorted(samples.groups.tolist()) == ["a", "a", "well/001.dcm", "well/003.dcm"]
    assert samples.notes[0].startswith("2 of 4 images have no PatientID, and each is a group")
