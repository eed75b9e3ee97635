"""Which organisations have written in a record."""

from __future__ import annotations

from uuid import UUID

from phr.records.models import Resource


def wrote(subject: UUID, organization: int) -> bool:
    """Whether anything in this record is an organisation's, deleted or not."""
    return Resource.objects.filter(subject=subject, author=organization).exists()
