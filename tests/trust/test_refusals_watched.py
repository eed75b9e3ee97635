"""What was hidden and what is not there: two lines for those who watch, one answer for who asks."""

from __future__ import annotations

from unittest.mock import patch
from uuid import uuid4

from django.utils import timezone

from consent import watch
from consent.models import AuditEntry, Notice, Organization
from tests.family import Neighbourhood, secret


def counts() -> dict[str, int]:
    lines = AuditEntry.objects.filter(event__in=["record:refused", "record:missed"])
    return {event: lines.filter(event=event).count() for event in ("record:refused", "record:missed")}


def test_a_refused_read_is_kept_apart_and_looks_the_same(family: Neighbourhood) -> None:
    hidden = family.mother.made(secret())["id"]
    for path in (f"Observation/{hidden}", f"Observation/{hidden}/_history/1"):
        before = AuditEntry.objects.count()
        refused = family.clinic.get(path)
        kept = AuditEntry.objects.count() - before
        missed = family.clinic.get(path.replace(hidden, str(uuid4())))
        assert refused.status == 404
        assert refused.told() == missed.told()
        assert kept == AuditEntry.objects.count() - before - kept == 1
    assert counts() == {"record:refused": 2, "record:missed": 2}
    assert not AuditEntry.objects.filter(event="record:refused").exclude(subject=None).exists()


def test_who_is_refused_unusually_often_is_brought_before_the_operator(family: Neighbourhood) -> None:
    Organization.objects.get_or_create(code="0000000000", defaults={"name": "運営", "kind": "operator"})
    hidden = family.mother.made(secret())["id"]
    with patch("consent.watch.MOST", 2):
        for _ in range(2):
            family.clinic.get(f"Observation/{hidden}")
        for _ in range(5):
            family.clinic.get(f"Observation/{uuid4()}")
        assert watch.look(now=timezone.now()) == 0
        family.clinic.get(f"Observation/{hidden}")
        assert watch.look(now=timezone.now()) == 1
    told = Notice.objects.filter(kind="refused:often").first()
    assert told is not None
    assert told.detail["count"] == 3
