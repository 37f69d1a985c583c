"""The bounds within which a server takes requests."""

from __future__ import annotations

from dataclasses import dataclass

# Seconds within which the head of a request has to be there, and the answer has to be taken.
HEAD_SECONDS = 10.0
MOST_HEAD_BYTES = 32 * 1024
MOST_CONNECTIONS = 512


@dataclass(frozen=True)
class Limits:
    """What one server holds at once.

    Attributes:
        bytes: Most bytes of a request's body.
        pixels: Most pixels of an image, as its header says, before anything is decoded.
        images: Most images that are being decoded or wait for the network.
        seconds: Time for the body to arrive, and then for the answer.
    """

    bytes: int = 32_000_000
    pixels: int = 50_000_000
    images: int = 256
    seconds: float = 30.0

    @property
    def held(self) -> int:
        """Most bytes of the bodies of all requests together."""
        return 8 * self.bytes
