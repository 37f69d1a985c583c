"""Why a request is refused."""

from __future__ import annotations


class RefusedError(Exception):
    """A request gets no answer but an HTTP status and a reason.

    Args:
        status: The HTTP status.
        reason: A sentence for the client.
        closes: Whether the connection is closed, because the request was not read to its end.
    """

    def __init__(self, status: int, reason: str, *, closes: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.closes = closes
