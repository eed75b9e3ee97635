"""When something goes wrong at a recipient: persons, provisions, notices (IT-32, IT-33)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent import audit, incidents, notices, provisions
from consent.audit import Event
from consent.models import AuditEntry, Incident, Provision, Recipient, Subject
from consent.refusal import Because
from consent.scope import Category
from tests.consent.people import People
from tests.institution import GROWTH, Trust, one, system_of
from tests.refusals import refused

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def to(institution: Trust) -> Recipient:
    return institution.recipient()


def given(institution: Trust, family: People, to: Recipient, *, deliver: bool = True) -> Provision:
    institution.entrusted(family.yuki_subject, family.yuki)
    institution.given(family.yuki_subject, family.yuki, f"org:{to.organization_id}")
    made = one(institution.asked(institution.program(to), to))
    if not deliver:
        return made
    return provisions.delivered(
        provision=made, items=["Observation/a/_history/1"], last=True, by=system_of(to), now=institution.now
    )


def leak(institution: Trust, to: Recipient | None, now: datetime, categories: int = GROWTH) -> Incident:
    return incidents.report(
        kind="leak", recipient=to, happened_from=now - DAY, happened_to=now + HOUR, categories=categories,
        summary_ja="持ち出し", summary_en="taken out", by=institution.clerk, now=now + HOUR,
    )  # fmt: skip


@pytest.mark.IT("32")
def test_an_incident_leads_from_the_recipient_to_the_person(
    family: People, institution: Trust, to: Recipient, now: datetime
) -> None:
    made = given(institution, family, to)
    given_only = given(institution, family, to, deliver=False)
    found = leak(institution, to, now)
    assert list(found.provisions.all()) == [made]
    assert (made.recipient, made.subject) == (to, family.yuki_subject)
    assert list(made.incidents.all()) == [found] and not given_only.incidents.exists()
    assert not leak(institution, institution.recipient(), now).provisions.exists()
    assert not leak(institution, to, now, int(Category.PSY)).provisions.exists()  # not what was given


@pytest.mark.IT("33")
def test_the_drill(family: People, institution: Trust, to: Recipient, now: datetime) -> None:
    """Who is concerned, in one query; told once; the commission in time; closed only then."""
    made = given(institution, family, to)
    # The clinic's system read the teenager's record by a consent for care, without a provision.
    reading = system_of(to, purpose="TREAT")
    audit.record(Event.RECORD_READ, by=reading, subject=family.teen_subject.pk, now=now, detail={"type": "Observation"})
    audit.record(Event.RECORD_READ, by=reading, subject=family.hana.pk, now=now - 2 * DAY)  # before it began
    audit.record(Event.RECORD_READ, by=family.mori, subject=family.ren.pk, now=now)  # somebody else
    found = leak(institution, to, now)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        affected = incidents.affected(found)
    assert len(asked) == 1
    assert {a.subject: a.provisions for a in affected} == {
        family.yuki_subject.pk: (made.pk,), family.teen_subject.pk: (),
    }  # fmt: skip
    assert (found.preliminary_due_at, found.final_due_at) == (now + HOUR + 5 * DAY, now + HOUR + 30 * DAY)
    assert refused(lambda: incidents.close(incident=found, by=institution.clerk, now=now)).because is Because.CONFLICT
    later = now + 2 * HOUR
    assert incidents.tell_persons(incident=found, by=institution.clerk, now=later) == 2
    assert (
        refused(lambda: incidents.tell_persons(incident=found, by=institution.clerk, now=later)).because
        is Because.CONFLICT
    )
    for person, subject in ((family.yuki, family.yuki_subject), (family.teen, family.teen_subject)):
        told = [n for n in notices.inbox(person, now=later) if n.kind == "incident:leak" and n.subject_id == subject.pk]
        assert [n.detail["incident"] for n in told] == [str(found.pk)]
    assert AuditEntry.objects.filter(event="incident:told").count() == 2
    incidents.tell_commission(incident=found, by=institution.clerk, now=later)
    incidents.close(incident=found, by=institution.clerk, now=later)
    found.refresh_from_db()
    assert found.closed_at == later


def test_a_leak_at_our_own_house(family: People, institution: Trust, to: Recipient, now: datetime) -> None:
    given(institution, family, to)
    audit.record(Event.RECORD_READ, by=family.mori, subject=family.ren.pk, now=now)
    found = leak(institution, None, now)
    assert family.ren.pk in {a.subject for a in incidents.affected(found)}
    assert Subject.objects.get(pk=family.hana.pk).pk not in {a.subject for a in incidents.affected(found)}


def test_what_is_no_incident(family: People, institution: Trust, now: datetime) -> None:
    def of(**more: object) -> Callable[[], object]:
        told = {
            "kind": "leak", "happened_from": now, "happened_to": now + HOUR, "categories": GROWTH, "summary_ja": "x",
            "summary_en": "x", "by": institution.clerk, "now": now,
        }  # fmt: skip
        return lambda: incidents.report(**(told | more))  # type: ignore[arg-type]

    for place, more in {
        "kind": {"kind": "gossip"}, "happened_to": {"happened_to": now}, "categories": {"categories": 0},
        "summary_ja": {"summary_ja": " "},
    }.items():  # fmt: skip
        assert refused(of(**more)).place == place
    assert refused(of(by=family.sato)).because is Because.FORBIDDEN
