"""What programs write into a table where a value is missing."""

from __future__ import annotations

# In small letters: what pandas reads as missing, of which R, SQL and Excel write some, and two
# marks that people type.
_WORDS = frozenset(
    {
        *("", "na", "n/a", "<na>", "nan", "-nan", "null", "none", "?", "-"),
        *("#n/a", "#n/a n/a", "#na", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
    }
)


def is_missing(text: str) -> bool:
    """Return whether a text says that there is no value: it is empty, or such as ``NA``."""
    return text.strip().lower() in _WORDS
