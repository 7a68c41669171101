"""Why a request is refused, whatever dialect it speaks."""

from __future__ import annotations


class Refused(Exception):
    """The request cannot be answered as it is; `status` is of HTTP and the text is for the client."""

    def __init__(self, status: int, text: str) -> None:
        """Say what is wrong."""
        super().__init__(text)
        self.status = status
        self.text = text


class NotSerializable(Exception):
    """What was given for an answer cannot be written as one."""
