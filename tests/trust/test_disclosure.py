"""Disclosure (IT-13): everything that is kept, counted; and to a guardian no more than a guardian may see."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from consent import audit, grants
from consent.models import AuditEntry, Grant, Guardianship, Notice, Organization, Person, Provision, Subject
from consent.notices import Kind, tell
from consent.refusal import Absent
from consent.scope import Clause, Mark
from phr.populate.cast import HANA, YUKI
from phr.records import disclosing
from phr.records.reading import Refused
from phr.smart.models import Launch
from phr.trust.log_names import named
from tests.family import Neighbourhood, pressure, secret, weight
from tests.institution import trust
from tests.trust.packages import asked, opened, package


def counted(sql: str, *values: object) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values))
        return int(cursor.fetchone()[0])


@pytest.mark.IT("13")
def test_it_holds_every_row(family: Neighbourhood) -> None:
    mother, now = family.mother, timezone.now()
    one = mother.made(pressure())
    mother.put({**one, "status": "amended"})
    mother.made(secret())
    family.clinic.made(weight())
    gone = mother.made(weight())
    mother.delete(f"Observation/{gone['id']}")
    yuki = Person.objects.get(username="yuki")
    tell(Kind.CASE_ANSWERED, to=[yuki], subject=YUKI, now=now)
    first = Grant.objects.get(subject=YUKI)
    grants.withdraw(grant=first, by=yuki, reason="もう要らない", now=now)
    desk = trust(now)
    university, hers = desk.recipient(), Subject.objects.get(pk=YUKI)
    desk.entrusted(hers, yuki)
    desk.given(hers, yuki, f"org:{university.organization_id}")
    program = desk.program(university)
    for _ in range(2):
        assert desk.asked(program, university).provisions.filter(subject=YUKI).count() == 1

    found = package(mother, f"records/{YUKI}/disclosure")
    log = found.rows("log.ndjson")
    stored = counted("SELECT count(*) FROM phr_resource WHERE subject_id = %s", YUKI)
    stored += counted("SELECT count(*) FROM phr_version WHERE subject_id = %s", YUKI)
    assert len(found.rows("record.ndjson")) == stored > 6
    last = named(AuditEntry.objects.all(), log[-1]["id"])
    assert last and len(log) == AuditEntry.objects.filter(subject=YUKI, id__lte=last.pk).count()
    assert log[-1]["event"] == "record:disclosed", "this disclosure is the last thing it tells"
    assert len(found.rows("consents.ndjson")) == Grant.objects.filter(subject=YUKI).count() == 2
    assert "もう要らない" in {row["ended_reason"] for row in found.rows("consents.ndjson")}
    handed = found.rows("provisions.ndjson")
    assert len(handed) == Provision.objects.filter(subject=YUKI).count() == 2
    assert {row["state"] for row in handed} == {"permitted"}
    assert len(found.rows("notices.ndjson")) == Notice.objects.filter(subject=YUKI, person=yuki).count()
    versions = {(row["reference"], row["version"], row["deleted"]) for row in found.rows("record.ndjson")}
    assert {(f"Observation/{one['id']}", 1, False), (f"Observation/{one['id']}", 2, False)} <= versions
    assert {(f"Observation/{gone['id']}", 1, False), (f"Observation/{gone['id']}", 2, True)} <= versions
    page = found.files["index.html"].decode()
    assert "記録の開示" in page
    assert "Disclosure of a record" in page
    for entry in found.manifest["files"]:
        if entry["name"] != "index.html":
            assert entry["sha256"] in page


@pytest.mark.IT("13")
def test_it_is_read_in_chunks(family: Neighbourhood, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(7):
        made = family.mother.made(weight(value=f"5{n}.0"))
        family.mother.put({**made, "status": "amended"})
    whole = package(family.mother, f"records/{YUKI}/disclosure").rows("record.ndjson")
    monkeypatch.setattr(disclosing, "CHUNK", 3)
    assert package(family.mother, f"records/{YUKI}/disclosure").rows("record.ndjson") == whole
    assert len(whole) >= 14
    assert len({(row["reference"], row["version"]) for row in whole}) == len(whole)


@pytest.mark.IT("13")
def test_it_wants_a_fresh_proof(family: Neighbourhood) -> None:
    Launch.objects.update(authenticated_at=timezone.now() - timedelta(minutes=6))
    assert asked(family.mother, f"records/{YUKI}/disclosure").status_code == 401
    assert not AuditEntry.objects.filter(event="record:disclosed").exists()


@pytest.mark.IT("13")
def test_it_is_nobody_elses(family: Neighbourhood) -> None:
    for app in (family.father, family.aunt, family.officer, family.stranger):
        assert asked(app, f"records/{YUKI}/disclosure").status_code == 404
    assert asked(family.clinic, f"records/{YUKI}/disclosure").status_code == 403


@pytest.mark.G("05")
@pytest.mark.G("13")
def test_a_guardian_gets_what_a_guardian_may_see(family: Neighbourhood) -> None:
    """Nothing of the other guardian, nothing above her ceiling; nothing tells that it is withheld."""
    mother = family.app("mother", patient="hana")
    seen = mother.made(pressure(HANA))
    family.father.made(weight(HANA, value="21.5"))
    before = package(family.father, f"records/{HANA}/disclosure")
    hidden = mother.made(pressure(HANA))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE phr_resource SET marks = %s WHERE fhir_id = %s", [int(Mark.CHILD_PROTECTION), hidden["id"]]
        )
    found = package(family.father, f"records/{HANA}/disclosure")
    assert hidden["id"] not in found.everything.decode()
    assert found.files["record.ndjson"] == before.files["record.ndjson"]
    assert f"Observation/{seen['id']}" in {row["reference"] for row in found.rows("record.ndjson")}
    yuki = Person.objects.get(username="yuki")
    for row in found.rows("log.ndjson"):
        if row["who"] not in ("you", "system", "staff"):
            assert (row["client"], row["organization"], row["request"]) == ("", None, ""), row
    assert str(yuki.name) not in found.files["log.ndjson"].decode()
    assert "yuki" not in found.files["log.ndjson"].decode()


@pytest.mark.G("05")
def test_the_other_guardians_own_words_stay_her_own(family: Neighbourhood) -> None:
    office = Organization.objects.filter(kind="clinic").order_by("pk").first()
    assert office
    yuki, hana, now = Person.objects.get(username="yuki"), Subject.objects.get(pk=HANA), timezone.now()
    root = Clause(permit=False, actors=frozenset({f"org:{office.pk}"}))
    grant = grants.give(subject=hana, root=root, by=yuki, capacity="guardian", now=now)
    grants.withdraw(grant=grant, by=yuki, reason="夫に知られたくない", now=now)
    [row] = package(family.father, f"records/{HANA}/disclosure").rows("consents.ndjson")
    assert (row["given_by"], row["ended_reason"]) == ("another guardian", "")
    [own] = package(family.app("mother", patient="hana"), f"records/{HANA}/disclosure").rows("consents.ndjson")
    assert (own["given_by"], own["ended_reason"]) == ("you", "夫に知られたくない")


@pytest.mark.IT("13")
@pytest.mark.G("07")
def test_a_freeze_breaks_a_download_off(family: Neighbourhood, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not left yet never does; half a package opens nowhere."""
    monkeypatch.setattr("phr.trust.packing.PIECE", 1)
    monkeypatch.setattr(disclosing, "CHUNK", 2)
    for n in range(8):
        family.father.made(weight(HANA, value=f"2{n}.5"))
    response = asked(family.father, f"records/{HANA}/disclosure")
    parts = iter(response.streaming_content)  # type: ignore[attr-defined]
    left = [next(parts), next(parts)]
    Guardianship.objects.filter(person__username="ichiro", subject=HANA).update(state="frozen")
    with pytest.raises((Refused, Absent)):
        left.extend(parts)
    with pytest.raises(Exception, match="zip"):
        opened(b"".join(left))
    again = asked(family.father, f"records/{HANA}/disclosure")
    nobody = asked(family.aunt, f"records/{HANA}/disclosure")
    assert (again.status_code, again.content) == (nobody.status_code, nobody.content) == (404, nobody.content)


@pytest.mark.IT("13")
def test_without_the_log_nothing_leaves(family: Neighbourhood, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise audit.AuditUnavailable("x")

    monkeypatch.setattr(audit, "record", fails)
    response = asked(family.mother, f"records/{YUKI}/disclosure")
    assert response.status_code == 503
    assert not hasattr(response, "streaming_content")
