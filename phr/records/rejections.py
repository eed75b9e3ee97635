"""What a write is refused for. Named here; one translator at the edge turns them into answers (`phr.fhir.outcome`)."""

from __future__ import annotations

from collections.abc import Sequence

from phr.records.validate import Problem


class Rejected(Exception):
    """Base of what a draft is rejected for; `at` is its position among those written together."""

    at: int | None = None


class Invalid(Rejected):
    """The resource breaks base FHIR; `problems` name each place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(p.diagnostics for p in problems[:3]))
        self.problems = tuple(problems)


class Spoilt(Invalid):
    """What a patch makes of the resource breaks base FHIR."""


class TooLarge(Rejected):
    """The resource is larger than PHR_MAX_RESOURCE, the data of attachments not counted. `limit`: bytes."""

    def __init__(self, limit: int, *, expression: str) -> None:
        text = f"資源は {limit} バイトまでです (添付のデータを除く)。A resource may have at most {limit} bytes"
        super().__init__(f"{text} (the data of attachments not counted).")
        self.expression = expression


class Forbidden(Rejected):
    """The token does not carry this interaction with this type (the only case that is told apart)."""


class Unprocessable(Rejected):
    """Well formed, but not storable for this caller; `expression` names the element.

    `reason`: a code for those who tell it in words of their own (`ingesting.WORDS`).
    """

    def __init__(self, message: str, *, expression: str, reason: str = "unprocessable") -> None:
        super().__init__(message)
        self.expression = expression
        self.reason = reason


class NotYours(Exception):
    """There is nothing this caller can see at this id, and a new one may only begin with `prefix`.

    Hidden or absent alike. `prefix` empty: ids of this type are never a client's to give.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix)
        self.prefix = prefix


class Kept(Exception):
    """Resources of this type are not deleted: a person's record ends by a procedure of its own."""


class OtherId(Rejected):
    """A condition finds one resource, and the body names another; `expression` names the element."""

    def __init__(self, message: str, expression: str) -> None:
        super().__init__(message)
        self.expression = expression


class Conflict(Exception):
    """The id is taken, or what a condition found has changed meanwhile."""


class PreconditionFailed(Exception):
    """If-Match names another version than the current one, or If-None-Match: * stands and there is one."""


class Ambiguous(Exception):
    """Several resources match the condition."""
