"""Whether the contract for a record is ending (解約): then nothing new is taken in, permitted or entrusted.

Asking for it, and taking it back, is `consent.closings`.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from consent import prepared
from consent.refusal import Because, Refusal

_ENDING = """
SELECT subject_id FROM consent_erasure
 WHERE subject_id = ANY(%(asked)s::uuid[]) AND closing AND state = 'waiting'
"""


def ending(subjects: Collection[UUID]) -> frozenset[UUID]:
    """Those of these whose contract is ending."""
    if not subjects:
        return frozenset()
    rows = prepared.fetch(_ENDING, {"asked": [str(subject) for subject in subjects]})
    return frozenset(subject for (subject,) in rows)


def require_open(subject: UUID) -> None:
    """Raises Refusal where it is ending: it can be taken back first."""
    if ending([subject]):
        raise Refusal("解約の手続き中です / its contract is ending; take that back first", because=Because.CONFLICT)
