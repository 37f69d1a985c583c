"""Single header fields of DICOM files, such as the patient's id; needs ``cnncli[dicom]``."""

from __future__ import annotations

import io
import warnings

from cnncli.errors import CnncliError, did_you_mean
from cnncli.images.dicom import is_deflated, refuse_bomb
from cnncli.images.formats import HEAD_BYTES, find_format
from cnncli.images.header import ImageError

_META_GROUP = 2  # of tags that stand before the data set, in the file meta information


def find_tag(keyword: str, where: str) -> int:
    """Return the tag of a header field.

    Args:
        keyword: Its keyword in the DICOM standard, such as ``PatientID``.
        where: The flag and its value, for messages.

    Raises:
        CnncliError: If the standard has no such keyword, if the field holds a list of fields or
            bytes in place of a text or number, or if pydicom is not installed.

    Source: DICOM PS3.6, the registry of data elements.
    """
    try:
        from pydicom.datadict import dictionary_VR, keyword_dict
    except ImportError:
        raise CnncliError(
            f"{where}: a header field of DICOM needs pydicom: pip install 'cnncli[dicom]'"
        ) from None
    if not keyword or keyword not in keyword_dict:
        near = did_you_mean(keyword, filter(None, keyword_dict)) or ", such as PatientID"
        raise CnncliError(f"{where}: {keyword!r} is no keyword of a DICOM header field{near}")
    kind = dictionary_VR(keyword_dict[keyword])
    parts = kind.split(" or ")  # "US or OW": which of them is told by other fields of a file
    if kind in ("SQ", "UN", "NONE") or any(part.startswith("O") for part in parts):
        held = "other fields" if kind == "SQ" else "bytes"
        raise CnncliError(f"{where}: holds {held}, and no text or number by which to group")
    return int(keyword_dict[keyword])


def is_dicom(head: bytes) -> bool:
    """Return whether a file is DICOM, by its first ``HEAD_BYTES`` bytes or more."""
    try:
        return find_format(head[:HEAD_BYTES]).name == "DICOM"
    except ImageError:  # of no format, or of one that is not read
        return False


def read_field(path: str, tag: int) -> str | None:
    """Return what a file says in one field, as a text without spaces around it.

    The file is read up to this field and no further.

    Args:
        path: Path of the file.
        tag: The field's tag.

    Returns:
        The text; several values are joined by a backslash, as in the file. It is empty if the file
        does not have the field, or is damaged before it. None for a file that is no DICOM.

    Raises:
        OSError: If the file cannot be read.
    """
    from pydicom.filereader import read_partial

    with open(path, "rb") as file:
        head = file.read(4096)
        if not is_dicom(head):
            return None
        file.seek(0)
        try:
            content: io.BufferedIOBase = file
            if is_deflated(head):
                whole = file.read()
                refuse_bomb(whole)
                content = io.BytesIO(whole)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = read_partial(
                    content,
                    stop_when=lambda found, _kind, _length: found > tag,
                    force=head[128:132] != b"DICM",
                    specific_tags=[tag],
                )
                element = (dataset.file_meta if tag >> 16 == _META_GROUP else dataset).get(tag)
                return "" if element is None else _write_value(element.value)
        except OSError:
            raise
        except Exception:  # pydicom raises errors of many types; the damage is told by the decoder
            return ""


def _write_value(value: object) -> str:
    from pydicom.multival import MultiValue

    if isinstance(value, MultiValue):
        return "\\".join(str(part).strip() for part in value)
    return "" if value is None else str(value).strip()
