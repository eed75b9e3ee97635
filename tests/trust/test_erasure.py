"""Erasing a record (IT-14): asked, waited for, held back by law, done, and never back."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection, connections
from django.utils import timezone

from consent import audit, keys, provider_records, provisions, sealing
from consent.models import (
    AuditEntry,
    DeletionCertificate,
    Erasure,
    Grant,
    Guardianship,
    LegalHold,
    Mandate,
    Person,
    Subject,
)  # fmt: skip
from consent.refusal import Refusal
from consent.signing import signing_key
from phr.fhir.bulk import running
from phr.populate.cast import HANA, YUKI
from phr.populate.store import for_organization
from phr.records import rebuild, rotation, shredding, store
from phr.records.gateway import Records
from phr.records.jobs import ExportJob
from phr.records.vault import CannotOpen
from phr.smart import demo, leaving
from phr.smart.models import AccessToken, Application, Launch
from phr.trust import erasing
from tests.family import App, Neighbourhood, at_home, encoded, pressure, secret, weight
from tests.institution import one, system_of, trust
from tests.sealing import seal_all

JSON = "application/json"
LATER = timedelta(days=settings.PHR_ERASURE_DAYS, minutes=1)


def post(app: App, path: str, content: Any = None) -> Any:
    return app.ask("POST", f"/api/trust/{path}", encoded(content or {}), type=JSON)


def erase(family: Neighbourhood, app: App, subject: UUID) -> None:
    """Ask, wait, and let the sweep come by."""
    asked = post(app, f"records/{subject}/erasure/ask")
    assert (asked.status, asked.json["state"]) == (202, "waiting"), asked
    assert erasing.run_due(now=timezone.now() + LATER, forget=leaving.forget) == 1


def about(subject: UUID) -> dict[str, int]:
    """How many rows anywhere still tell something of a person."""
    asked = {
        "resources": "SELECT count(*) FROM phr_resource WHERE subject_id = %s",
        "versions": "SELECT count(*) FROM phr_version WHERE subject_id = %s",
        "keys": "SELECT count(*) FROM consent_datakey WHERE subject_id = %s",
        "launches": "SELECT count(*) FROM phr_launch WHERE subject_id = %s",
        "rows of grants": "SELECT count(*) FROM consent_effectivegrant WHERE subject_id = %s",
        "notices": "SELECT count(*) FROM consent_notice WHERE subject_id = %s AND person_id IS NOT NULL",
        "links": "SELECT count(*) FROM consent_guardianship WHERE subject_id = %s AND state <> 'ended'",
    }
    with connection.cursor() as cursor:
        found = {}
        for name, sql in asked.items():
            cursor.execute(sql, [subject])
            found[name] = cursor.fetchone()[0]
    return found


@pytest.mark.IT("14")
def test_an_erased_record_is_gone(family: Neighbourhood) -> None:
    mother, clinic = family.mother, family.clinic
    own, written = mother.made(pressure()), clinic.made(weight())
    mother.put({**own, "status": "amended"})
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM phr_resource WHERE subject_id = %s", [YUKI])
        rows = [row[0] for row in cursor.fetchall()]
    erase(family, mother, YUKI)
    assert set(about(YUKI).values()) == {0}, about(YUKI)
    with connection.cursor() as cursor:
        for table in ("phr_range", "phr_text", "phr_words", "phr_change", "phr_version"):
            cursor.execute(f"SELECT count(*) FROM {table} WHERE resource_id = ANY(%s)", [rows])
            assert cursor.fetchone()[0] == 0, table
    assert mother.get(f"Patient/{YUKI}").status == 401  # the token went with its launch
    for place in (f"Patient/{YUKI}", f"Observation/{written['id']}", f"Observation/{own['id']}/_history/1"):
        told = clinic.get(place)
        nowhere = clinic.get(f"{place.split('/')[0]}/00000000-0000-4000-8000-000000000000")
        assert told.status == nowhere.status == 404, told
    assert clinic.create(weight()).status == 422
    person = Person.objects.filter(username=f"erased-{YUKI.hex}")
    yuki = Person.objects.get(username="yuki")  # Hana's guardian stays one
    assert (yuki.own_subject_id, yuki.name != "", person.exists()) == (None, True, False)
    assert Subject.objects.get(pk=YUKI).birth_on is None
    assert Grant.objects.filter(subject=YUKI).exclude(state="inactive").count() == 0


@pytest.mark.IT("14")
def test_the_name_of_who_was_only_herself_goes_too(family: Neighbourhood) -> None:
    person = Person.objects.get(username="ichiro")
    Guardianship.objects.filter(person=person).update(state="ended")
    own = person.own_subject_id
    assert own
    app = family.app("father", patient="ichiro")
    erase(family, app, own)
    person.refresh_from_db()
    assert (person.username, person.name, person.kana, person.is_active) == (f"erased-{own.hex}", "", "", False)
    assert not person.has_usable_password()
    assert not Launch.objects.filter(person=person).exists()
    assert not AccessToken.objects.filter(launch__person=person).exists()


@pytest.mark.IT("14")
def test_no_cache_and_no_copy_brings_a_body_back(family: Neighbourhood) -> None:
    """A sealed body and its key were read a moment ago: everything a process may remember, it remembers."""
    made = family.mother.made(secret())
    assert family.mother.get(f"Observation/{made['id']}").status == 200
    with connection.cursor() as cursor:
        cursor.execute(f"{store.select()} WHERE r.fhir_id = %s", [made["id"]])
        row = cursor.fetchone()
    assert store.stored(row, store.facts_of_row(row)).body  # opens, and warms the caches
    erase(family, family.mother, YUKI)
    with connection.cursor() as cursor:
        # What a restored backup would hold: the row, sealed, and no key.
        cursor.execute("SELECT 1 FROM consent_datakey WHERE subject_id = %s", [YUKI])
        assert cursor.fetchone() is None
    assert keys.all_keys(YUKI) == {}
    kept = list(row)
    kept[16] = kept[17] = None  # the LEFT JOIN finds no key
    with pytest.raises(CannotOpen):
        store.stored(kept, store.facts_of_row(kept))
    with pytest.raises(CannotOpen):
        store.open_body(row[15], store.facts_of_row(row), version=row[11], key_version=row[14], key=None)


@pytest.mark.django_db(transaction=True)  # a seal takes what has been committed
@pytest.mark.IT("14")
def test_the_log_still_verifies_and_its_details_are_gone(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    assert seal_all()
    erase(family, family.mother, YUKI)
    assert seal_all()
    assert sealing.verify(public_key=signing_key(settings.PHR_AUDIT_KEY).public_key()) == []
    lines = AuditEntry.objects.filter(subject=YUKI, event="record:created")
    assert lines.exists()
    assert audit.opened(lines) == [None] * lines.count()
    assert AuditEntry.objects.filter(subject=YUKI, event="subject:erased").count() == 1


@pytest.mark.IT("14")
def test_what_was_exported_lies_on_no_disk(family: Neighbourhood, tmp_path: Any, settings: Any) -> None:
    settings.PHR_EXPORT_FOLDER = str(tmp_path)
    accepted = family.clinic.ask("GET", "$export", headers={"Prefer": "respond-async"})
    job = UUID(accepted.headers["Content-Location"].rsplit("/", 1)[1])
    running.run(job, clock=timezone.now)
    assert ExportJob.objects.get(pk=job).state == "done"
    erase(family, family.mother, YUKI)
    assert not ExportJob.objects.filter(pk=job).exists()


@pytest.mark.IT("14")
def test_it_can_be_taken_back_until_it_is_due(family: Neighbourhood) -> None:
    asked = post(family.mother, f"records/{YUKI}/erasure/ask")
    assert asked.json["due_at"] is not None
    assert erasing.run_due(now=timezone.now() + timedelta(days=1), forget=leaving.forget) == 0
    assert family.mother.get(f"Patient/{YUKI}").status == 200
    assert post(family.mother, f"records/{YUKI}/erasure/ask").status == 409
    assert post(family.mother, f"records/{YUKI}/erasure/cancel").json["state"] == "none"
    assert erasing.run_due(now=timezone.now() + LATER, forget=leaving.forget) == 0
    assert family.mother.get(f"Patient/{YUKI}").status == 200
    assert post(family.mother, f"records/{YUKI}/erasure/cancel").status == 404


@pytest.mark.IT("14")
def test_a_fresh_proof_of_who_one_is(family: Neighbourhood) -> None:
    Launch.objects.update(authenticated_at=timezone.now() - timedelta(minutes=6))
    refused = post(family.mother, f"records/{YUKI}/erasure/ask")
    assert refused.status == 401
    assert "insufficient_user_authentication" in refused.headers["WWW-Authenticate"]
    assert not Erasure.objects.exists()


@pytest.mark.IT("14")
@pytest.mark.G("14")
def test_a_childs_record_takes_both_guardians(family: Neighbourhood) -> None:
    mother = family.app("mother", patient="hana")
    first = post(mother, f"records/{HANA}/erasure/ask")
    assert (first.status, first.json["state"]) == (202, "joint"), first
    assert post(mother, f"records/{HANA}/erasure/ask").json["state"] == "joint", "alone, twice, is still alone"
    assert erasing.run_due(now=timezone.now() + LATER, forget=leaving.forget) == 0
    second = post(family.father, f"records/{HANA}/erasure/ask")
    assert second.json["state"] == "waiting", second
    cancelled = post(mother, f"records/{HANA}/erasure/cancel")
    assert cancelled.json["state"] == "none", "either may stop it alone"


@pytest.mark.IT("14")
@pytest.mark.G("07")
def test_a_frozen_guardians_request_is_not_done(family: Neighbourhood) -> None:
    mother = family.app("mother", patient="hana")
    post(mother, f"records/{HANA}/erasure/ask")
    assert post(family.father, f"records/{HANA}/erasure/ask").json["state"] == "waiting"
    Guardianship.objects.filter(person__username="ichiro", subject=HANA).update(state="frozen")
    assert erasing.run_due(now=timezone.now() + LATER, forget=leaving.forget) == 0
    assert Erasure.objects.get(subject=HANA).state == "cancelled"
    assert Subject.objects.get(pk=HANA).state == "active"


@pytest.mark.IT("14")
def test_nobody_else_may_ask(family: Neighbourhood) -> None:
    for app in (family.aunt, family.father, family.clinic, family.officer, family.stranger):
        assert post(app, f"records/{YUKI}/erasure/ask").status in (403, 404)
    assert not Erasure.objects.exists()


@pytest.mark.IT("14")
def test_a_hold_refuses_or_postpones_with_its_reason(family: Neighbourhood) -> None:
    family.clinic.made(weight())
    desk = family.officer
    body = {"record": str(YUKI), "kind": "litigation", "reason": "令和8年(ワ)1号"}
    placed = post(desk, "desk/holds/place", body)
    assert placed.status == 201, placed
    refused = post(family.mother, f"records/{YUKI}/erasure/ask")
    assert refused.status == 409
    assert "訴訟" in refused.json["detail"]
    assert "litigation" in refused.json["detail"]
    assert "ワ" not in refused.json["detail"], "the office's own note is no business of a notice"
    assert post(desk, f"desk/holds/{placed.json['id']}/lift").status == 200
    assert post(desk, f"desk/holds/{placed.json['id']}/lift").status == 409

    until = (timezone.now() + timedelta(days=100)).date()
    assert post(desk, "desk/holds/place", {**body, "until": str(until)}).status == 201
    asked = post(family.mother, f"records/{YUKI}/erasure/ask")
    assert asked.status == 202
    assert datetime.fromisoformat(asked.json["due_at"]) >= datetime.fromisoformat(f"{until}T00:00:00+09:00")


@pytest.mark.IT("14")
def test_a_hold_placed_meanwhile_stops_it(family: Neighbourhood) -> None:
    post(family.mother, f"records/{YUKI}/erasure/ask")
    post(family.officer, "desk/holds/place", {"record": str(YUKI), "kind": "authority", "reason": "照会"})
    assert erasing.run_due(now=timezone.now() + LATER, forget=leaving.forget) == 0
    assert Subject.objects.get(pk=YUKI).state == "active"
    LegalHold.objects.update(lifted_at=timezone.now())
    assert erasing.run_due(now=timezone.now() + LATER, forget=leaving.forget) == 1


@pytest.mark.G("13")
def test_a_hold_of_child_protection_looks_like_an_authoritys(family: Neighbourhood) -> None:
    mother = family.app("mother", patient="hana")
    told = []
    for kind in ("authority", "child-protection"):
        placed = post(family.officer, "desk/holds/place", {"record": str(HANA), "kind": kind, "reason": "x"})
        told.append(post(mother, f"records/{HANA}/erasure/ask").content)
        told.append(mother.ask("GET", f"/api/trust/records/{HANA}/erasure").content)
        post(family.officer, f"desk/holds/{placed.json['id']}/lift")
    assert told[0] == told[2]
    assert told[1] == told[3]


@pytest.mark.IT("14")
def test_a_clinic_holds_only_where_it_wrote(family: Neighbourhood) -> None:
    body = {"record": str(YUKI), "kind": "medical-record", "reason": "医師法24条"}
    doctor = family.app("obstetrician")
    nowhere = post(doctor, "desk/holds/place", {**body, "record": "00000000-0000-4000-8000-000000000000"})
    before = post(doctor, "desk/holds/place", body)
    assert (before.status, before.content) == (nowhere.status, nowhere.content) == (404, nowhere.content)
    family.clinic.made(weight())
    assert post(doctor, "desk/holds/place", body).status == 201


@pytest.mark.IT("14")
def test_killed_in_the_middle_nothing_is_done(family: Neighbourhood, monkeypatch: pytest.MonkeyPatch) -> None:
    family.mother.made(pressure())
    post(family.mother, f"records/{YUKI}/erasure/ask")
    before = about(YUKI)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erasing.run_due(now=timezone.now() + LATER, forget=dies)
    assert about(YUKI) == before
    assert Subject.objects.get(pk=YUKI).state == "active"
    assert erasing.run_due(now=timezone.now() + LATER, forget=leaving.forget) == 1
    assert set(about(YUKI).values()) == {0}


def shared(family: Neighbourhood) -> int:
    """A resource of the clinic about Yuki and Hana, with an earlier version; its row."""
    organization = Application.objects.get(client_id=demo.CLINIC).organization_id
    caller = replace(for_organization(organization, YUKI), subject=None)
    records = Records.opened_by(caller, now=timezone.now())
    both = weight(YUKI, focus=[{"reference": f"Patient/{HANA}"}])
    draft = records._draft(both, id="shared-1", version=1, author=organization)
    assert set(draft.facts.subjects) == {YUKI, HANA}
    return store.insert([draft], now=timezone.now())[0]


@pytest.mark.IT("14")
@pytest.mark.IT("34")
@pytest.mark.G("03")
def test_what_is_about_two_stays_sealed_for_the_other_and_shows_nothing(family: Neighbourhood) -> None:
    row = shared(family)
    assert post(family.app("mother", patient="hana"), f"records/{HANA}/erasure/ask").status == 202
    assert post(family.father, f"records/{HANA}/erasure/ask").json["state"] == "waiting"
    assert erasing.run_due(now=timezone.now() + LATER, forget=leaving.forget) == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(terms), body IS NOT NULL FROM phr_resource WHERE id = %s", [row])
        assert cursor.fetchone() == (0, True)
        for table in shredding.INDEX:
            cursor.execute(f"SELECT count(*) FROM {table} WHERE resource_id = %s", [row])
            assert cursor.fetchone()[0] == 0, table
    for app in (family.clinic, family.mother, family.father, family.officer):
        assert app.get("Observation/shared-1").status in (401, 404)
    # Neither tidying nor new keys bring the erased person back into the index, or give her a key.
    rebuild.reindex()
    rotation.reseal()
    assert keys.all_keys(HANA) == {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(terms) FROM phr_resource WHERE id = %s", [row])
        assert cursor.fetchone()[0] == 0
        # The other person's copy of the key still opens it: it is her record too, until she has it erased.
        cursor.execute(f"{store.select()} WHERE r.id = %s", [row])
        found = cursor.fetchone()
    assert b"29463-7" in (store.stored(found, store.facts_of_row(found)).body or b"")
    Erasure.objects.all().delete()
    erase(family, family.mother, YUKI)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM phr_resource WHERE id = %s", [row])
        assert cursor.fetchone()[0] == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.IT("14")
def test_a_killed_process_leaves_nothing_half_done(transactional_db: None) -> None:
    """SIGKILL while it erases: the database undoes it, and the sweep does it all."""
    family = at_home()
    family.mother.made(pressure())
    post(family.mother, f"records/{YUKI}/erasure/ask")
    before = about(YUKI)
    child = os.fork()
    if child == 0:  # everything but the COMMIT is done when it dies

        def dies(*_: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        connections.close_all()
        erasing.run_due(now=timezone.now() + LATER, forget=dies)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    connections.close_all()
    assert about(YUKI) == before
    assert Subject.objects.get(pk=YUKI).state == "active"
    assert erasing.run_due(now=timezone.now() + LATER, forget=leaving.forget) == 1
    assert set(about(YUKI).values()) == {0}


@pytest.mark.IT("14")
@pytest.mark.IT("40")
def test_what_was_provided_is_called_back_and_its_record_stays(family: Neighbourhood) -> None:
    now = timezone.now()
    desk = trust(now)
    recipient = desk.recipient()
    program, yuki = desk.program(recipient), Person.objects.get(username="yuki")
    subject = Subject.objects.get(pk=YUKI)
    desk.entrusted(subject, yuki)
    grant = desk.given(subject, yuki, f"org:{recipient.organization_id}")
    made = one(desk.asked(program, recipient))
    caller = system_of(recipient, provision=str(made.pk))
    provisions.delivered(provision=made, items=["Observation/x/_history/1"], last=True, by=caller, now=now)
    erase(family, family.mother, YUKI)
    made.refresh_from_db()
    assert (made.state, made.ended_reason, made.items) == ("ended", "erased", ["Observation/x/_history/1"])
    # What stays is whole, and a pseudonym: nobody is named by it, and nothing leads from it to a person.
    assert (made.recipient, made.subject_id, made.grant_id, made.grant_version) == (recipient, YUKI, grant.pk, 1)
    assert (made.made_at, made.delivered_at, made.mandate_id is not None) == (now, now, True)
    left = Subject.objects.get(pk=YUKI)
    assert (left.state, left.birth_on) == ("erased", None)
    assert not Person.objects.filter(own_subject=YUKI).exists()
    yuki.refresh_from_db()
    assert yuki.own_subject is None  # her account lives on as her children's guardian
    words = json.dumps([made.judgement, made.items, made.grant.root, made.grant.terms, made.grant.ended_reason])
    assert not [hidden for hidden in ("見本", "雪", "yuki", "1996") if hidden in words]
    assert DeletionCertificate.objects.filter(provision=made, submitted_at=None).exists()
    assert not Mandate.objects.filter(subject=subject, ended_at=None).exists()
    with pytest.raises(Refusal):  # three years
        provider_records.discard(provision=made, now=now + LATER)
