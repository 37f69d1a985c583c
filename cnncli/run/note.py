"""A person's note on a run: one line of text in a file of its own in the run's folder."""

from __future__ import annotations

from pathlib import Path

from cnncli.errors import CnncliError
from cnncli.files import NOTE_FILE, check_regular, write_atomically
from cnncli.reporting import show_controls

_MOST = 1000  # characters of a note
_MOST_OF_FILE = 2**16  # bytes


def write_note(run_dir: Path, text: str) -> str:
    """Write a run's note in place of the one that it has; an empty text removes it.

    Args:
        run_dir: The run's folder.
        text: The note. Line breaks become spaces, and control characters visible.

    Returns:
        The note as it is written.

    Raises:
        CnncliError: If the text is too long, or the file cannot be written.
    """
    note = show_controls(" ".join(text.split()))
    if len(note) > _MOST:
        raise CnncliError(f"runs note: {len(note)} characters; a note has {_MOST} at most")
    path = run_dir / NOTE_FILE
    if note:
        content = f"{note}\n".encode("utf-8", "backslashreplace")
        write_atomically(path, lambda part: part.write_bytes(content))
    elif path.is_dir() and not path.is_symlink():
        raise CnncliError(f"{path}: is a folder, and no note")
    else:
        path.unlink(missing_ok=True)
    return note


def read_note(run_dir: Path) -> str | None:
    """Return a run's note; None for none, and for a file that cannot be read."""
    path = run_dir / NOTE_FILE
    try:
        check_regular(path, most=_MOST_OF_FILE)
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return show_controls(" ".join(text.split())) or None
