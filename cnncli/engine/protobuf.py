"""Walks through a file in protobuf's format without building what it holds.

Only what an ONNX file consists of: numbers, and pieces with a length. Nothing is copied, so that a
piece may be as large as the file.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

# The wire types: how a field's value is stored.
VARINT, FIXED64, PIECE, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: Which field it is, as the format's definition numbers them.
        wire: How it is stored: ``VARINT``, ``FIXED64``, ``PIECE`` or ``FIXED32``.
        value: The number of a ``VARINT``; 0 for the others.
        first: The place in the file of the value's first byte.
        end: The place behind its last byte.
    """

    number: int
    wire: int
    value: int
    first: int
    end: int


class Walker:
    """Goes through the messages of a file, and counts the fields that it has seen.

    Args:
        content: The bytes of the file.
        most: Most fields of the whole file; a file of more takes too long to look through.
    """

    def __init__(self, content: memoryview, most: int) -> None:
        self.content = content
        self._left = most

    def fields(self, first: int, end: int) -> Iterator[Field]:
        """Yield the fields of the message that lies in ``content[first:end]``.

        Raises:
            ValueError: If it is no message, ends too early, or the file has too many fields.
        """
        place = first
        while place < end:
            self._left -= 1
            if self._left < 0:
                raise ValueError("it has more parts than cnncli looks at")
            key, place = self._number(place, end)
            number, wire, value = key >> 3, key & 7, 0
            begin = place
            if wire == VARINT:
                value, place = self._number(place, end)
            elif wire == PIECE:
                length, begin = self._number(place, end)
                place = begin + length
            elif wire in _WIDTHS:
                place += _WIDTHS[wire]
            else:
                raise ValueError("it is no protobuf")
            if place > end:
                raise ValueError("it ends too early")
            yield Field(number, wire, value, begin, place)

    def text(self, field: Field) -> str:
        """Return the text of a field.

        Raises:
            ValueError: If it is no text.
        """
        if field.wire != PIECE:
            raise ValueError("it is no protobuf")
        try:
            return str(self.content[field.first : field.end], "utf-8")
        except UnicodeDecodeError:
            raise ValueError("a text in it is damaged") from None

    def numbers(self, field: Field) -> Iterator[int]:
        """Yield the numbers of a field that is one of several, alone or packed.

        Raises:
            ValueError: If they end too early.
        """
        if field.wire == VARINT:
            yield field.value
            return
        place = field.first
        while place < field.end:
            value, place = self._number(place, field.end)
            yield value

    def _number(self, place: int, end: int) -> tuple[int, int]:
        """Return the number that begins at a place, and the place behind it."""
        value = shift = 0
        while place < end and shift < 64:
            byte = self.content[place]
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, place
            shift += 7
        raise ValueError("it ends too early")
