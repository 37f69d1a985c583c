"""Groups that headers of DICOM files name: ``--group-col dicom:PatientID``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cnncli.arrays import Array
from cnncli.choices.missing import is_missing
from cnncli.data.group_texts import doubt_groups
from cnncli.data.samples import Samples, TextColumn, find_files
from cnncli.errors import CnncliError, count_of, shorten
from cnncli.images.dicom_fields import find_tag, is_dicom, read_field
from cnncli.images.formats import HEAD_BYTES

# In front of a header field's keyword, where a column is named otherwise.
PREFIX = "dicom:"
# The field by which groups are proposed.
PATIENT = "PatientID"
# What is proposed.
KEEP = f"keep the images of a patient in one split with --group-col {PREFIX}{PATIENT}"
# Threads that read headers: most of the time is waiting for the disk.
_THREADS = 8
# A look at a large set reads so many headers in so many places. Images of one patient mostly lie
# beside each other in the order of the names.
_PLACES, _IN_A_ROW = 20, 25


@dataclass(frozen=True)
class HeaderField:
    """A field of DICOM headers by which images are grouped.

    Attributes:
        keyword: Its keyword in the DICOM standard, such as ``PatientID``.
        tag: Its tag.
        where: The flag and its value, for messages.
    """

    keyword: str
    tag: int
    where: str


def parse_field(column: str | None) -> HeaderField | None:
    """Return the header field that ``--group-col`` names; None if it names a column, or nothing.

    Args:
        column: Such as ``dicom:PatientID``. A column of a CSV that is called so is not meant.

    Raises:
        CnncliError: If DICOM has no such field, or if its values are no texts or numbers.
    """
    if column is None or not column.lower().startswith(PREFIX):
        return None
    keyword, where = column[len(PREFIX) :].strip(), f"--group-col {column}"
    return HeaderField(keyword, find_tag(keyword, where), where)


def group_by_field(samples: Samples, field: HeaderField, data: str) -> Samples:
    """Return the samples with the groups that a header field of their files names.

    Args:
        samples: The labelled images.
        field: The header field.
        data: The data set, as the user named it, for messages.

    Returns:
        The samples. A sample without the field is a group by itself, and a note counts these.

    Raises:
        CnncliError: If no file is DICOM or none has the field, or if the files of one sample
            differ in it.
    """
    where, keyword = field.where, field.keyword
    values = read_values(samples, field, np.arange(len(samples)))
    foreign = sum(value is None for value in values)
    if foreign == len(samples):
        raise CnncliError(
            f"{where}: none of the {count_of(len(samples), 'image')} of --data {data} is a DICOM "
            "file; name a CSV's column, or take the groups from the names with --group-regex"
        )
    without = [index for index, value in enumerate(values) if not value]
    if len(without) == len(samples):
        raise CnncliError(f"{where}: none of the DICOM files of --data {data} has this field")
    groups = TextColumn()
    for path, value in zip(samples.paths, values, strict=True):
        groups.append(value or path)
    notes = samples.notes
    if without:
        names = shorten([str(samples.paths[index]) for index in without], 3)
        alien = f", of which {count_of(foreign, 'is', 'are')} no DICOM" if foreign else ""
        told = f"{len(without):,} of {len(samples):,} images have no {keyword}{alien}"
        notes = (*notes, f"{told}, and each is a group by itself: {names}")
    notes = (*notes, *doubt_groups(np.array(list(filter(None, values))), where))
    return replace(samples, groups=groups.array(), group_hint=None, notes=notes)


def read_values(samples: Samples, field: HeaderField, chosen: Array) -> list[str | None]:
    """Return what the files of some samples say in a header field.

    Args:
        samples: The samples.
        field: The header field.
        chosen: (M,) numbers of the samples to look at.

    Returns:
        For each of the M samples: the field, an empty text if its files do not have it or cannot
        be read, and None if none of them is DICOM.

    Raises:
        CnncliError: If the files of one sample differ in the field.
    """
    # Imported here, since it imports torch.
    from cnncli.data.store import map_in_threads

    def read(index: int) -> str | None:
        found = {_read(path, field.tag) for path in find_files(samples.source, index)}
        named = sorted(value for value in found if value and not is_missing(value))
        if len(named) > 1:
            raise CnncliError(
                f"{field.where}: the files of one sample differ in it ({samples.paths[index]}: "
                f"{shorten(named, 3)}); each sample must be of one group"
            )
        return named[0] if named else None if found <= {None} else ""

    return list(map_in_threads(read, chosen.tolist(), _THREADS))


def _read(path: str, tag: int) -> str | None:
    try:
        return read_field(path, tag)
    except OSError:  # it is told when the image is read
        return ""


def find_patients(samples: Samples, chosen: Array) -> list[str] | None:
    """Return the patient of each DICOM file, if several files are of one patient; else None.

    Args:
        samples: The labelled images.
        chosen: (M,) numbers of the samples whose headers are read.

    Returns:
        The ids of the patients of these M samples; an empty text where none is named.
    """
    try:
        field = HeaderField(PATIENT, find_tag(PATIENT, PATIENT), PATIENT)
        values = [value or "" for value in read_values(samples, field, chosen)]
    except CnncliError:  # no pydicom; or channels of different patients, which no group can hold
        return None
    known = [value for value in values if value]
    return values if 1 < len(set(known)) < len(known) else None


def tell_patients(patients: Sequence[str], where: str = "") -> str:
    """Return in a sentence how many patients were found, without their ids.

    Args:
        patients: What `find_patients` returned.
        where: What follows the number of files.
    """
    known = [patient for patient in patients if patient]
    values, files = count_of(len(set(known)), "value"), count_of(len(known), "DICOM file")
    return f"the header field {PATIENT} has {values} in {files}{where}"


def propose_patients(samples: Samples) -> str | None:
    """Return a warning that proposes groups, if several DICOM files are of one patient; else None.

    Of a large set, only some headers are read, and of one without DICOM hardly any.
    """
    rows = np.array_split(np.arange(len(samples)), _PLACES)
    rows = [row[:_IN_A_ROW] for row in rows if len(row)]
    first = np.array([row[0] for row in rows])
    if not any(_is_dicom(samples, index) for index in first):
        return None
    chosen = np.concatenate(rows)
    patients = find_patients(samples, chosen)
    if patients is None:
        return None
    looked = "" if len(chosen) == len(samples) else " that were looked at"
    return f"{tell_patients(patients, looked)}: {KEEP}"


def _is_dicom(samples: Samples, index: int) -> bool:
    """Return whether the first file of a sample is DICOM."""
    files = find_files(samples.source, index)
    try:
        if not files:
            return False
        with open(files[0], "rb") as file:
            return is_dicom(file.read(HEAD_BYTES))
    except OSError:
        return False
