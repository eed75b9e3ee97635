"""The leak matrix for Patients that name other Patients: whom the clinic may not see is answered as if absent.

`Patient.link.other` makes the linked person one of those a resource speaks of. A Patient that is new brings only
itself: whom it names must be known already, and nothing about that person comes in beside it.
Sources: trust rules, section 5 (leak matrix) and E-10 (nonexistent = forbidden); R4 patient.html, Patient.link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from consent import keys
from consent.decide import Caller, Capacity
from consent.models import DataKey, Organization, Subject
from consent.scope import Door
from phr.populate.cast import OBSTETRIC, YUKI
from phr.records.gateway import Records, Unprocessable
from phr.records.store import Draft
from tests.access.test_leaks import UUID_TEXT, patch, told
from tests.family import KAI, Answer, App, Neighbourhood, encoded, entry, post, pressure, rows

# KAI is next door's child. Nobody bears the others; they sort before and after any other id.
ABSENT = UUID("0f0f0f0f-0000-4000-8000-000000000000")
FIRST, LAST = UUID("00000000-0000-4000-8000-000000000001"), UUID("ffffffff-ffff-4fff-bfff-ffffffffffff")
NEW = "urn:uuid:5e5e5e5e-0000-4000-8000-000000000009"
Question = Callable[[App, UUID], Answer]


def human(*others: UUID | str, **more: Any) -> dict[str, Any]:
    """A Patient with links to others."""
    named = [str(o) if str(o).startswith("urn:") else f"Patient/{o}" for o in others]
    links = [{"other": {"reference": name}, "type": "seealso"} for name in named]
    return (
        {"resourceType": "Patient", "name": [{"text": "見本 例"}], "birthDate": "1990-01-01"}
        | ({"link": links} if links else {})
        | more
    )


def own(app: App, kind: str) -> str:
    """An id that this app may give."""
    refused = app.put({"resourceType": kind, "id": "no-such-id", "status": "final", "code": {"text": "x"},
                       "subject": {"reference": f"Patient/{YUKI}"}})  # fmt: skip
    assert refused.status == 405, refused
    return str(refused.json["issue"][0]["diagnostics"].split()[-1]) + "one"


def patched(app: App, x: UUID) -> Answer:
    mine = app.made(human())["id"]
    link = {"op": "add", "path": "/link", "value": human(x)["link"]}
    return patch(app, f"Patient/{mine}", [link])


def put_link(app: App, x: UUID) -> Answer:
    return app.put(human(x, id=app.made(human())["id"]))


QUESTIONS: dict[str, Question] = {
    "create": lambda app, x: app.create(human(x)),
    "create if none": lambda app, x: app.create(human(x), if_none_exist="identifier=urn:nothing|1"),
    "put that adds a link": put_link,
    "patch that adds a link": patched,
    "put where": lambda app, x: app.ask("PUT", "Patient?identifier=urn:nothing|1", encoded(human(x))),
    "batch": lambda app, x: app.bundle("batch", post(human(x)), post(pressure(x))),
    "transaction": lambda app, x: app.bundle("transaction", post(human(x))),
    "transaction with an observation": lambda app, x: app.bundle("transaction", post(human(x)), post(pressure(x))),
    "transaction with an observation first": lambda app, x: app.bundle(
        "transaction", post(pressure(x)), post(human(x), NEW)
    ),
    "transaction of two": lambda app, x: app.bundle("transaction", post(human(), NEW), post(human(NEW, x))),
    "transaction with an update that creates": lambda app, x: app.bundle(
        "transaction",
        post(human(x)),
        entry("PUT", f"Observation/{(id := own(app, 'Observation'))}", pressure(x) | {"id": id}),
    ),
    "transaction by condition": lambda app, x: app.bundle(
        "transaction",
        post(human(x), ifNoneExist="identifier=urn:nothing|1"),
        entry("PUT", "Observation?identifier=urn:nothing|1", pressure(x)),
    ),
    "observation": lambda app, x: app.create(pressure(x)),
    "$validate": lambda app, x: app.ask("POST", "Patient/$validate", encoded(human(x))),
}


def ask(question: Question, app: App, x: UUID) -> Any:
    """What is said, but for the name asked about; and what is stored is counted. All of it is undone."""
    with transaction.atomic():
        before = rows()
        answer = question(app, x)
        status, content, headers = told(answer, fixed={str(x)})
        grown = {name: n - before[name] for name, n in rows().items()}
        transaction.set_rollback(True)
    return status, content.replace(str(x).encode(), b"X"), headers, grown


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_hidden_person_is_named_in_vain(family: Neighbourhood, name: str) -> None:
    assert family.clinic.get(f"Patient/{KAI}").status == 404
    asked = ask(QUESTIONS[name], family.clinic, KAI)
    for absent in (ABSENT, FIRST, LAST):
        assert ask(QUESTIONS[name], family.clinic, absent) == asked
    status, _, _, grown = asked
    if name not in ("batch", "$validate"):
        assert status == 422
    assert grown["consent_subject"] == grown["consent_datakey"] == (1 if "adds a link" in name else 0)


@pytest.mark.parametrize("name", ["create", "transaction", "observation"])
def test_the_questions_can_tell(family: Neighbourhood, name: str) -> None:
    """Whom the clinic may see is answered otherwise."""
    assert family.clinic.get(f"Patient/{YUKI}").status == 200
    assert ask(QUESTIONS[name], family.clinic, YUKI)[0] in (200, 201)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["create", "transaction", "transaction with an observation", "transaction of two"])
def test_a_hidden_person_is_named_in_vain_also_at_the_commit(family: Neighbourhood, name: str) -> None:
    before = rows()
    hidden = QUESTIONS[name](family.clinic, KAI)
    for absent in (FIRST, LAST):
        answer = QUESTIONS[name](family.clinic, absent)
        assert (answer.status, hidden.status) == (422, 422)
        assert answer.content.replace(str(absent).encode(), b"X") == hidden.content.replace(str(KAI).encode(), b"X")
    assert rows() == before


@pytest.mark.django_db(transaction=True)
def test_a_link_to_somebody_known_is_kept(family: Neighbourhood) -> None:
    """The new Patient is the main person of its own resource, whatever the order of the ids (Yuki's begins low)."""
    for _ in range(4):
        made = family.clinic.made(human(YUKI))
        assert Subject.objects.filter(pk=made["id"]).exists()
        assert family.clinic.search("Patient", link=f"Patient/{YUKI}", _id=made["id"]).ids == [made["id"]]
        about = family.clinic.made(pressure(UUID(made["id"])))
        assert family.clinic.search("Observation", patient=made["id"]).ids == [about["id"]]


@pytest.mark.django_db(transaction=True)
def test_two_new_patients_name_each_other(family: Neighbourhood) -> None:
    other = "urn:uuid:5e5e5e5e-0000-4000-8000-00000000000a"
    for _ in range(4):  # whichever id sorts first
        answer = family.clinic.bundle(
            "transaction", post(human(other), NEW), post(human(NEW), other), post(pressure(subject={"reference": NEW}))
        )
        assert answer.status == 200, answer
        ids = [e["response"]["location"].split("/")[1] for e in answer.json["entry"]]
        assert Subject.objects.filter(pk__in=ids[:2]).count() == 2
        assert family.clinic.get(f"Patient/{ids[0]}").json["link"][0]["other"]["reference"] == f"Patient/{ids[1]}"


def test_nothing_comes_in_beside_a_patient_that_names_the_hidden_one(family: Neighbourhood) -> None:
    """The same at the gateway, as importers use it."""
    clinic = Organization.objects.get(code=OBSTETRIC.code)
    doors = (Door("*", "cruds"),)
    caller = Caller(client="x", capacity=Capacity.SYSTEM, purpose="TREAT", doors=doors, organization=clinic.pk)
    records = Records.opened_by(caller, now=timezone.now())
    for hidden in (KAI, ABSENT):
        with pytest.raises(Unprocessable) as refused:
            records.create_all([human(hidden), pressure(hidden)])
        assert (refused.value.at, refused.value.expression) == (0, "Patient.link.other")
        with pytest.raises(Unprocessable) as refused:
            records.create_all([human(id=str(uuid4())), pressure(hidden)], keep_ids=True)
        assert (refused.value.at, refused.value.expression) == (1, "Observation.subject")


def test_nothing_comes_in_by_a_file(family: Neighbourhood, tmp_path: Path) -> None:
    before = rows()
    for hidden in (KAI, ABSENT):
        file = tmp_path / f"{hidden}.ndjson"
        lines = [human(hidden, id=str(uuid4())), pressure(hidden, id=str(uuid4()))]
        file.write_bytes(b"\n".join(encoded(line) for line in lines))
        with pytest.raises(CommandError, match="Some lines were refused"):
            call_command("ingest", str(file), organization=OBSTETRIC.code, processes=1)
        assert rows() == before


def _key_without_a_person(self: Records, drafts: Iterable[Draft]) -> None:
    """A data key of somebody who is not there: the deferred foreign key refuses it at the commit."""
    kek = keys.keyring().current
    for subject in {s for draft in drafts for s in draft.facts.subjects}:
        wrapped = keys.wrap(bytes(32), subject=subject, version=1, kek=kek)
        DataKey.objects.create(subject_id=subject, version=1, kek=kek, wrapped=wrapped)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["alone", "batch", "transaction"])
def test_what_the_commit_refuses_is_a_conflict_that_names_nobody(
    family: Neighbourhood, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    monkeypatch.setattr(Records, "_enroll", _key_without_a_person)  # a bug, as one there was
    before = rows()
    if kind == "alone":
        answer = family.clinic.create(human())
        assert answer.status == 409, answer
    else:
        answer = family.clinic.bundle(kind, post(human()))
        assert (answer.status, b'"status":"409"' in answer.content) == (
            (200, True) if kind == "batch" else (409, False)
        )
    assert "nothing was changed" in answer.content.decode()
    assert rows() == before
    assert "consent_datakey_subject_id" in caplog.text, "the constraint"
    assert not UUID_TEXT.search(caplog.text.replace(answer.headers["X-Request-Id"], "").encode())
    assert not UUID_TEXT.search(answer.content)
