"""Two stores, the same questions: with something hidden in one of them, nobody can tell them apart.

Every kind of hiding, over every channel: the REST door's reads, writes and conditions, searches, histories,
operations, exports, `$explain`, the trust's API and the log. Status, body, headers and sizes must be equal, once
ids and moments that are new each time are blanked. Sources: trust rules, section 5 (leak matrix), E-10, G-12, G-13.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID
from zipfile import ZipFile

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone

from consent import grants
from consent.decide import Caller
from consent.models import Person, Subject
from consent.scope import Clause
from phr.fhir.bulk import running
from phr.populate.cast import HANA, OBSTETRIC, PAEDIATRIC, YUKI
from phr.populate.store import for_organization, for_person
from phr.records import systems
from phr.records.gateway import Records
from tests.access import test_leaks, test_leaks_linked
from tests.access.permissions import TABLE
from tests.access.test_leaks_linked import LINKED, UNIT, refer
from tests.family import FHIR_JSON, KAI, LOINC, Answer, App, Neighbourhood, encoded, pressure, secret, weight
from tests.fhir.bulk.exports import job_of, kick_off
from tests.operations.test_immunization import dose

EPDS = {"coding": [{"system": LOINC, "code": "71354-5"}]}
MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
DIGEST = re.compile(rb"\b[0-9a-f]{64}\b")  # follows from ids and moments
NUMBER = re.compile(rb'(?<="bytes": )\d+|(?<="id":)\d+')  # sizes; what the question made
NAME = re.compile(rb"\b[0-9a-f]{32}\b")  # of a line of the log: drawn by lot
Question = Callable[[App], Answer]


class At(App):
    """An app whose record is another's: what the questions say about Yuki is asked about her."""

    def __init__(self, app: App, subject: UUID) -> None:
        super().__init__(app.token)
        self.subject = str(subject)

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, type: str = FHIR_JSON,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:  # fmt: skip
        yuki = str(YUKI)
        headers = {name: value.replace(yuki, self.subject) for name, value in headers.items()}
        body = body.replace(yuki.encode(), self.subject.encode()) if body else body
        return super().ask(method, path.replace(yuki, self.subject), body, type=type, headers=headers)


@dataclass
class Hidden:
    """One kind of hiding. `asks`: who is to notice nothing; `about`: whose record it is.

    `keeps`: who stored it; `says`: how it differs from an ordinary blood pressure; `before`: what holds in both
    stores; `after`: what is done to it.
    """

    asks: Callable[[Neighbourhood], App]
    keeps: Callable[[Neighbourhood], Caller]
    about: UUID = YUKI
    at: UUID = YUKI
    says: dict[str, Any] = field(default_factory=dict)
    base: Callable[..., dict[str, Any]] = pressure
    before: Callable[[Neighbourhood], object] = lambda family: None
    after: Callable[[Neighbourhood], object] = lambda family: None
    sound: bool = True  # the one that asks has visible things of her own


def by(username: str, subject: UUID) -> Callable[[Neighbourhood], Caller]:
    return lambda family: for_person(Person.objects.get(username=username), subject)


def by_clinic(code: str, subject: UUID) -> Callable[[Neighbourhood], Caller]:
    return lambda family: for_organization(family.demo.organizations[code].pk, subject)


def marked(code: str) -> dict[str, Any]:
    return {"meta": {"security": [{"system": systems.OWN_MARK, "code": code}]}}


def denied(family: Neighbourhood) -> None:
    """Yuki keeps this one item from her clinic."""
    item = frozenset({f"Observation/{LINKED}"})
    root = Clause(permit=False, actors=frozenset({f"org:{family.demo.clinic.pk}"}), items=item)
    yuki = family.demo.people["yuki"]
    grants.give(subject=Subject.objects.get(pk=YUKI), root=root, by=yuki, capacity="self", now=timezone.now())


def state(subject: UUID, name: str) -> Callable[[Neighbourhood], object]:
    return lambda family: Subject.objects.filter(pk=subject).update(state=name)


def placed(family: Neighbourhood) -> None:
    Subject.objects.filter(pk=HANA).update(location_hidden=True)


def clinic(family: Neighbourhood) -> App:
    return family.clinic


def mother_of_hana(family: Neighbourhood) -> App:
    return At(family.app("mother", patient="hana"), HANA)


def father_of_hana(family: Neighbourhood) -> App:
    return At(family.father, HANA)


OTHER = by_clinic(PAEDIATRIC.code, HANA)
KINDS: dict[str, Hidden] = {
    "another author's, of a kind that was not granted": Hidden(
        clinic, by_clinic(PAEDIATRIC.code, YUKI), base=weight, says={"component": None}
    ),
    "restricted by its writer": Hidden(clinic, by("yuki", YUKI), base=secret),
    "restricted, for a doctor": Hidden(lambda f: f.app("obstetrician"), by("yuki", YUKI), base=secret),
    "labelled": Hidden(clinic, by("yuki", YUKI), says={"code": EPDS}),
    "denied by a Grant": Hidden(clinic, by("yuki", YUKI), after=denied),
    "minor-confidential": Hidden(
        mother_of_hana, OTHER, about=HANA, at=HANA, says=marked("minor-confidential")
    ),
    "child protection": Hidden(mother_of_hana, OTHER, about=HANA, at=HANA, says=marked("child-protection")),
    "location-bearing": Hidden(
        father_of_hana, OTHER, about=HANA, at=HANA, before=placed,
        says={"performer": [{"reference": "Organization/9f9f9f9f-0000-4000-8000-000000000001"}]},
    ),
    "location-bearing, by a pharmacy's name": Hidden(
        father_of_hana, OTHER, about=HANA, at=HANA, before=placed, says={"performer": [{"display": "見本薬局 駅前店"}]},
    ),
    "another family's, for the mother": Hidden(lambda f: f.mother, by("otsu", KAI), about=KAI),
    "another family's, for the clinic": Hidden(clinic, by("otsu", KAI), about=KAI),
    "of a locked person": Hidden(clinic, by_clinic(OBSTETRIC.code, HANA), about=HANA, after=state(HANA, "locked")),
    "of an erased person": Hidden(clinic, by_clinic(OBSTETRIC.code, HANA), about=HANA, after=state(HANA, "erased")),
}  # fmt: skip


def put_away(family: Neighbourhood, kind: Hidden, places: dict[str, str]) -> None:
    """Store the hidden one under the id that the visible ones name."""
    base = kind.base(kind.about)
    made = test_leaks_linked.hidden(base, places) | {"code": base["code"]} | kind.says
    resource = {name: value for name, value in made.items() if value is not None}
    if kind.about != kind.at:
        resource.pop("encounter", None)  # of somebody else
        resource.pop("derivedFrom", None)
    Records.opened_by(kind.keeps(family), now=timezone.now()).create_all([resource], keep_ids=True)
    kind.after(family)


# -- what is asked ---------------------------------------------------------------------------------


def exported(path: str) -> Question:
    """An export, its manifest and every file, as one answer."""

    def ask(app: App) -> Answer:
        accepted = kick_off(app, path)
        if accepted.status != 202:
            return accepted
        running.run(job_of(accepted), clock=timezone.now)
        told = app.get(accepted.headers["Content-Location"])
        files = [file["url"] for kind in ("output", "deleted", "error") for file in told.json[kind]]
        return Answer(HttpResponse(told.content + b"\n".join(content(app, url) for url in files)))

    return ask


def content(app: App, url: str) -> bytes:
    answer = app.http.get(url.removeprefix("http://127.0.0.1:8000"), headers={"authorization": f"Bearer {app.token}"})
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def linked(question: str, places: dict[str, str]) -> Question:
    def ask(app: App) -> Answer:
        criteria = question.format(**places, unit=UNIT)
        path, _, pairs = criteria.partition("?")
        searched = [tuple(pair.partition("=")[::2]) for pair in pairs.split("&") if pair]
        return app.search(path, *searched) if path and "/" not in path else app.get(f"/fhir/{criteria}".rstrip("/"))

    return ask


def own_list(kind: str) -> Question:
    """What the one that asks writes herself about the hidden one, and then reads."""
    target = refer("Observation", LINKED)
    bodies: dict[str, dict[str, Any]] = {
        "Provenance": {
            "target": [target], "recorded": "2026-03-01T00:00:00Z", "agent": [{"who": refer("Patient", str(YUKI))}],
        },
        "List": {"status": "current", "mode": "working", "subject": refer("Patient", str(YUKI)),
                 "entry": [{"item": target}]},
        "Composition": test_leaks.discharge(LINKED),
    }  # fmt: skip

    def ask(app: App) -> Answer:
        made = app.create({"resourceType": kind, **bodies[kind]})
        if made.status != 201:
            return made
        return app.search(kind, _id=made.id, _include="*", _total="accurate")

    return ask


def trust(path: str, **body: Any) -> Question:
    """A deed of the trust's API that names the hidden one."""
    return lambda app: app.ask("POST", f"/api/trust/{path}", encoded(body), type="application/json")


def got(path: str) -> Question:
    return lambda app: app.get(path)


def table_questions() -> dict[str, Question]:
    """Every GET of the permission table that needs no more than a person: a new route is asked from its first day."""
    places = {"yuki": YUKI, "hana": HANA, "kai": KAI}
    rows = (row for row in TABLE if row.method == "GET" and row.path.startswith(("/api/", "/fhir", "/apps", "/brands")))
    told = {}
    for row in rows:
        try:
            told[f"table: {row.path}"] = got(row.path.format(**places))
        except KeyError:
            continue
    return told


MORE: dict[str, Question] = {
    "$explain": got(f"/fhir/Observation/{LINKED}/$explain"),
    "$explain of a version": got(f"/fhir/Observation/{LINKED}/_history/1/$explain"),
    "AuditEvents": got(f"/fhir/AuditEvent?entity=Observation/{LINKED}&_total=accurate"),
    "AuditEvents of the patient": got(f"/fhir/AuditEvent?patient={YUKI}&_summary=count"),
    "Provenances": got(f"/fhir/Provenance?target=Observation/{LINKED}&_total=accurate"),
    "Consents": got(f"/fhir/Consent?patient={YUKI}&data=Observation/{LINKED}&_total=accurate"),
    "the log": got(f"/api/trust/records/{YUKI}/log"),
    "own Provenance": own_list("Provenance"),
    "own List": own_list("List"),
    "own Composition": own_list("Composition"),
    "launch": trust("desk/launches", patient=str(YUKI), encounter=LINKED),
    "correction": trust(f"records/{YUKI}/corrections/ask", reference=f"Observation/{LINKED}", what="x", why="y"),
    "a deny of it": trust(
        f"records/{YUKI}/consents/give",
        root={"permit": False, "actors": ["class:third-party"], "items": [f"Observation/{LINKED}"]},
    ),
    "a mark on it": trust(f"desk/records/{YUKI}/marks", items=[f"Observation/{LINKED}"], mark="child-protection"),
    "a release of it": trust(f"desk/records/{YUKI}/marks/release", items=[f"Observation/{LINKED}"]),
    "a wish about it": trust(f"desk/records/{YUKI}/wishes", encounter=LINKED, assessment="competent", wish="hide"),
    "export": exported("$export"),
    "export of deletions": exported("$export?_since=2020-01-01T00:00:00Z"),
    "export filtered": exported(f"$export?_type=Observation&_typeFilter=Observation?_id={LINKED}"),
    "export of patients": exported("Patient/$export?_type=Observation,Provenance"),
}  # fmt: skip


def questions(places: dict[str, str]) -> dict[str, Question]:
    """All of them: the leak matrix, what leads from one to another, every GET of the table, and what is above."""
    matrix = {name: (lambda app, ask=ask: ask(app, LINKED)) for name, ask in test_leaks.QUESTIONS.items()}
    ways = (*test_leaks_linked.QUESTIONS, *test_leaks_linked.BLIND)
    return matrix | {f"linked: {q}": linked(q, places) for q in ways} | table_questions() | MORE


def answers(app: App, asked: dict[str, Question], fixed: set[str]) -> dict[str, Any]:
    """What each question is told, as it could be compared; what it wrote is taken back."""
    found = {}
    for name, ask in asked.items():
        with transaction.atomic():
            found[name] = normal(ask(app), fixed)
            transaction.set_rollback(True)
    return found


def normal(answer: Answer, fixed: set[str]) -> Any:
    if answer.headers.get("Content-Type") == "application/zip":
        answer.content = unpacked(answer.content)
    status, text, headers = test_leaks.told(answer, fixed=fixed)
    for new_each_time, name in ((MOMENT, b"MOMENT"), (NUMBER, b"NUMBER"), (NAME, b"NAME"), (DIGEST, b"DIGEST")):
        text = new_each_time.sub(name, text)
    if text:  # its length, now that a number has one digit more or less; of an empty answer it is told as it is
        headers["Content-Length"] = len(text)
    return status, text, headers


def unpacked(archive: bytes) -> bytes:
    """What lies in an archive, file by file."""
    with ZipFile(BytesIO(archive)) as files:
        parts = [name.encode() + b"\n" + files.read(name) for name in files.namelist()]
    return b"\n".join(parts)


def difference(question: str, without: Any, with_it: Any) -> str:
    """Where two answers part."""
    one, other = str(without), str(with_it)
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"{question}: …{one[max(0, at - 80) : at + 200]}… and …{other[max(0, at - 80) : at + 200]}…"


@pytest.fixture
def export_folder(tmp_path: Path, settings: Any) -> None:
    settings.PHR_EXPORT_FOLDER = str(tmp_path / "exports")


def scene(family: Neighbourhood, kind: Hidden) -> tuple[App, dict[str, str]]:
    """The one that asks, and what she can see; the visible ones name the hidden one."""
    kind.before(family)
    app = kind.asks(family)
    writer = family.mother if kind.at == YUKI else app
    return app, test_leaks_linked.settle(writer)


@pytest.mark.G("08", "12", "13")
@pytest.mark.IT("34")
@pytest.mark.usefixtures("export_folder")
@pytest.mark.parametrize("name", KINDS)
def test_nobody_can_tell_the_two_stores_apart(family: Neighbourhood, name: str) -> None:
    kind = KINDS[name]
    app, places = scene(family, kind)
    fixed = {*places.values(), *map(str, (YUKI, HANA, KAI)), LINKED}
    asked = questions(places)
    without = answers(app, asked, fixed)
    put_away(family, kind, places)
    with_it = answers(app, asked, fixed)
    differ = [difference(q, without[q], with_it[q]) for q in asked if without[q] != with_it[q]]
    assert not differ, "\n".join(differ)


@pytest.mark.usefixtures("export_folder")
def test_the_comparison_would_notice(family: Neighbourhood) -> None:
    """Shown instead of hidden, the same resource changes what nearly every question is told."""
    kind = Hidden(clinic, by("yuki", YUKI))
    app, places = scene(family, kind)
    fixed = {*places.values(), *map(str, (YUKI, HANA, KAI)), LINKED}
    asked = questions(places)
    without = answers(app, asked, fixed)
    put_away(family, kind, places)
    with_it = answers(app, asked, fixed)
    moved = {q for q in asked if without[q] != with_it[q]}
    assert len(moved) > 100
    assert {"read", "total", "if-none-exist by identifier", "export", "export filtered", "own List"} <= moved


RECKONED = (
    "notebook", "notebook/symbols", "dispensed", "due",
)  # fmt: skip


def test_what_is_reckoned_from_a_record_tells_nothing_of_what_is_hidden(family: Neighbourhood) -> None:
    """A dose and a medicine that are hidden from the mother; shown, each answer would differ."""
    app = mother_of_hana(family)
    asked = {name: got(f"/api/trust/records/{YUKI}/{name}") for name in RECKONED}
    asked |= {f"${name}": got(f"Patient/{YUKI}/$immunization-{name}") for name in ("recommendation", "status")}
    without = answers(app, asked, {str(HANA)})
    hana = {"reference": f"Patient/{HANA}"}
    made = [
        dose("MR1", "2020-01-20") | {"patient": hana},
        {"resourceType": "MedicationDispense", "status": "completed", "subject": hana, "whenHandedOver": "2026-03-01",
         "medicationCodeableConcept": {"text": "見本錠"}},
    ]  # fmt: skip
    hospital = Records.opened_by(OTHER(family), now=timezone.now())
    hospital.create_all([one | marked("minor-confidential") for one in made], keep_ids=False)
    assert answers(app, asked, {str(HANA)}) == without
    hospital.create_all(made, keep_ids=False)
    shown = answers(app, asked, {str(HANA)})
    assert {name for name in asked if shown[name] != without[name]} == set(asked)
