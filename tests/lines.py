"""Lines of the log, opened: what a test may ask of them."""

from __future__ import annotations

from typing import Any

from consent import audit
from consent.models import AuditEntry


def told_by(line: AuditEntry) -> dict[str, Any]:
    """The detail of one line. Fails where it does not open."""
    (told,) = audit.opened([line])
    assert told is not None, "the detail of this line does not open"
    return told
