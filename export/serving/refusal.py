"""The one exception that means: the client can mend this. It is answered as {"error": reason} with its status."""

from __future__ import annotations


class Refused(Exception):
    """A request that is not carried out.

    Attributes:
        status: HTTP status, 4xx.
        reason: which instance and field, what was expected.
    """

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status, self.reason = status, reason
