"""The trust's own desk over the wire: terms, registry, board, complaints, incidents; and imports confirmed."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from consent.models import Confirmation, Person, Program, Recipient
from integrations import running
from phr.populate import demo
from phr.populate.cast import YUKI
from tests.family import Answer, App, Neighbourhood, encoded
from tests.institution import Trust

JSON = "application/json"
T = "/api/trust"


class Desk:
    """Somebody of the operator, signed in to the pages' session."""

    def __init__(self, person: Person) -> None:
        self.http = Client(raise_request_exception=False)
        self.http.force_login(person)
        self.proved(timezone.now())

    def proved(self, at: datetime) -> None:
        """She proved who she is with her card then."""
        session = self.http.session
        session["acr"], session["authenticated_at"] = "aal3", int(at.timestamp())
        session.save()

    def ask(self, method: str, path: str, told: Any = None) -> Answer:
        body = b"" if told is None else encoded(told)
        return Answer(self.http.generic(method, f"{T}/{path}", body, content_type=JSON))  # type: ignore[arg-type]


@pytest.fixture
def desk(institution: Trust) -> Desk:
    return Desk(institution.clerk)


def call(app: App, method: str, path: str, told: Any = None) -> Answer:
    return app.ask(method, f"{T}/{path}", None if told is None else encoded(told), type=JSON)


def said(institution: Trust, outcome: str = "approve", **about: Any) -> dict[str, Any]:
    """A decision of the board, as the desk sends it."""
    return about | {
        "outcome": outcome, "reasons": "可", "valid_until": (timezone.now() + timedelta(days=9)).isoformat(),
        "members": [{"person": p.pk, "role": role} for p, role in institution.board.items()],
    }  # fmt: skip


@pytest.mark.IT("01")
def test_terms_and_mandate(family: Neighbourhood, institution: Trust, desk: Desk) -> None:
    first = desk.ask("POST", "desk/terms", {"text_ja": "第一版\n", "text_en": "first\n"})
    assert (first.status, first.json["version"]) == (201, 1)
    assert desk.ask("POST", "desk/terms", {"text_ja": "第一版\n", "text_en": "first\n"}).status == 409
    assert call(family.anonymous, "GET", "terms").status == 404  # not before the board's word
    assert desk.ask("POST", "desk/decisions", said(institution, terms=1)).status == 201
    shown = call(family.anonymous, "GET", "terms").json
    accepted = call(family.mother, "POST", f"records/{YUKI}/mandate", {"sha256": shown["sha256_ja"]})
    assert (accepted.status, accepted.json["current"]) == (201, True)
    desk.ask("POST", "desk/terms", {"text_ja": "第二版", "text_en": "second"})
    desk.ask("POST", "desk/decisions", said(institution, terms=2))
    [mandate] = call(family.mother, "GET", f"records/{YUKI}/mandates").json
    assert (mandate["current"], mandate["terms"]) == (False, 1)
    old = call(family.anonymous, "GET", f"terms/{mandate['sha256']}").json
    assert (old["text"], old["locale"], old["version"]) == ("第一版\n", "ja", 1)
    assert family.mother.get(f"Patient/{YUKI}").status == 200  # reading goes on
    assert call(family.mother, "POST", f"records/{YUKI}/mandate", {"sha256": shown["sha256_ja"]}).status == 409
    assert call(family.mother, "POST", f"records/{YUKI}/mandate/end", {}).status == 204
    assert call(family.anonymous, "GET", "terms/%00").status == 404


@pytest.mark.IT("05", "20", "30", "50")
def test_from_the_registry_to_a_program_that_runs(family: Neighbourhood, institution: Trust, desk: Desk) -> None:
    office = institution.organization()
    entry = {
        "organization": office.pk, "legal_name": "学校法人 例示大学", "legal_number": "7000012050002",
        "address": "例示市", "representative": "例示 太郎", "contract_ref": "C-1",
        "contract_ends_on": (timezone.now() + timedelta(days=300)).date().isoformat(), "certification": "P",
        "certified_until": (timezone.now() + timedelta(days=300)).isoformat(), "purposes": ["HRESCH"],
    }  # fmt: skip
    assert desk.ask("POST", "desk/recipients", entry | {"purposes": ["LAWENF"]}).json["place"] == "purposes"
    assert desk.ask("POST", "desk/recipients", entry | {"organization": 2**40}).status == 422
    made = desk.ask("POST", "desk/recipients", entry)
    assert made.status == 201, made
    one = f"desk/recipients/{made.json['id']}"
    assert made.json["fault"] == "recipient-not-active"
    assert desk.ask("POST", f"{one}/resume", {}).status == 409  # not before the board's word (IT-30)
    assert desk.ask("POST", "desk/decisions", said(institution, recipient=made.json["id"])).status == 201
    assert desk.ask("POST", f"{one}/suspend", {"reason": "x"}).json["fault"] == "recipient-not-active"
    assert desk.ask("POST", f"{one}/resume", {}).json["fault"] is None
    draft = {
        "title_ja": "調査", "title_en": "study", "recipients": [made.json["id"]], "purpose": "HRESCH",
        "categories": ["GROWTH"], "level": 2, "use_class": "public-interest",
    }  # fmt: skip
    bare = desk.ask("POST", "desk/programs", draft).json
    assert desk.ask("POST", f"desk/programs/{bare['id']}/submit", {}).json["place"] == "benefit_ja"
    good = desk.ask("POST", "desk/programs", draft | {"benefit_ja": "結果", "benefit_en": "results"}).json
    seats = [{"person": p.pk, "role": role} for p, role in institution.board.items()]
    yes = {
        "program": good["id"], "outcome": "approve", "reasons": "可", "members": seats,
        "valid_until": (timezone.now() + timedelta(days=9)).isoformat(),
    }  # fmt: skip
    recorder, own = Desk(institution.chair), desk.ask("POST", "desk/decisions", yes)
    assert (own.status, own.json["place"]) == (422, "members")  # who proposed it does not write it down either
    assert recorder.ask("POST", "desk/decisions", yes).status == 409  # not before the board
    assert desk.ask("POST", f"desk/programs/{good['id']}/submit", {}).json["state"] == "review"
    assert call(family.mother, "GET", "programs").json == []
    no_doctor = [s for s in seats if s["role"] != "medical"]
    assert recorder.ask("POST", "desk/decisions", yes | {"members": no_doctor}).json["place"] == "members"
    assert desk.ask("POST", "desk/decisions", yes | {"members": [*seats, seats[0]]}).json["place"] == "members"
    assert desk.ask("POST", "desk/decisions", yes | {"recipient": 1}).status == 422
    recorder.proved(timezone.now() - timedelta(hours=1))
    assert recorder.ask("POST", "desk/decisions", yes).status == 401
    recorder.proved(timezone.now())
    assert recorder.ask("POST", "desk/decisions", yes).status == 201
    desk.proved(timezone.now() - timedelta(hours=1))
    for path, given in ((f"{one}/resume", {}), (f"{one}/enter-class", {}), ("desk/recipients", entry)):
        assert desk.ask("POST", path, given).status == 401, path
    desk.proved(timezone.now())
    [shown] = call(family.mother, "GET", "programs").json
    assert (shown["benefit_ja"], shown["categories"], shown["purpose"]) == ("結果", ["GROWTH"], "HRESCH")
    assert shown["recipients"][0]["name"] == "学校法人 例示大学"
    assert desk.ask("POST", "desk/decisions", yes | {"outcome": "stop", "members": []}).status == 201
    assert Program.objects.get(pk=good["id"]).state == "stopped"
    span = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    report = desk.ask("POST", "desk/governance", span).json
    assert ([d["outcome"] for d in report["decisions"]], report["faults"]) == (["approve"] * 2 + ["stop"], [])
    assert desk.ask("POST", "desk/decisions", said(institution, "stop", screen="consent-list@2")).status == 201
    assert desk.ask("POST", "desk/decisions", said(institution, screen="no version")).json["place"] == "screen"
    report = desk.ask("POST", "desk/governance", span).json
    assert [d["about"] for d in report["decisions"] if d["outcome"] == "stop"][-1] == "screen:consent-list@2"
    assert desk.ask("POST", "desk/overdue", {}).json == {"ended": 0, "reports": 0, "suspended": 0}


@pytest.mark.IT("03")
def test_entering_a_class(family: Neighbourhood, institution: Trust, desk: Desk) -> None:
    newcomer = institution.recipient()
    newcomer.organization.class_from = None
    newcomer.organization.save()
    path = f"desk/recipients/{newcomer.pk}/enter-class"
    assert desk.ask("POST", path, {}).status == 200
    assert desk.ask("POST", path, {}).status == 409
    since = Recipient.objects.get(pk=newcomer.pk).organization.class_from
    assert since is not None and timedelta(days=6, hours=23) < since - timezone.now() <= timedelta(days=7)


@pytest.mark.IT("16")
def test_a_complaint(family: Neighbourhood, desk: Desk) -> None:
    made = call(family.mother, "POST", f"records/{YUKI}/complain", {"kind": "access", "text": "誰が見ましたか"}).json
    [ticket] = desk.ask("GET", "desk/complaints").json
    assert (ticket["id"], ticket["text"]) == (made["id"], "誰が見ましたか")
    one = f"desk/complaints/{made['id']}"
    assert desk.ask("POST", f"{one}/answer", {"text": "x"}).status == 409
    assert desk.ask("POST", f"{one}/take", {}).json["state"] == "in-review"
    assert desk.ask("POST", f"{one}/answer", {"text": "記録をお送りします"}).status == 200
    [mine] = call(family.mother, "GET", f"records/{YUKI}/complaints").json
    assert (mine["state"], mine["answer"]) == ("answered", "記録をお送りします")
    assert call(family.mother, "POST", f"records/{YUKI}/complaints/{made['id']}/close", {}).json["state"] == "closed"
    assert call(family.father, "GET", f"records/{YUKI}/complaints").status == 404
    report = desk.ask(
        "POST", "desk/complaints/report", {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    )
    assert (report.json["received"], report.json["answered_late"]) == (1, 0)


@pytest.mark.IT("32", "33")
def test_an_incident(family: Neighbourhood, institution: Trust, desk: Desk) -> None:
    family.mother.get(f"Patient/{YUKI}")
    now = timezone.now()
    told = {
        "kind": "leak", "happened_from": (now - timedelta(hours=1)).isoformat(),
        "happened_to": (now + timedelta(hours=1)).isoformat(), "categories": ["IDENTITY"], "summary_ja": "漏えい",
        "summary_en": "a leak",
    }  # fmt: skip
    assert desk.ask("POST", "desk/incidents", told | {"recipient": 2**30}).status == 422
    made = desk.ask("POST", "desk/incidents", told)
    assert made.status == 201, made
    one = f"desk/incidents/{made.json['id']}"
    assert str(YUKI) in {a["record"] for a in desk.ask("GET", f"{one}/affected").json}
    assert desk.ask("POST", f"{one}/close", {}).status == 409
    assert desk.ask("POST", f"{one}/tell", {}).json["records"] >= 1
    assert "incident:leak" in {n["kind"] for n in call(family.mother, "GET", "notices").json}
    assert desk.ask("POST", f"{one}/commission", {}).status == 204
    assert desk.ask("POST", f"{one}/close", {}).status == 204


@pytest.mark.IT("41")
def test_an_import_leaves_a_record_of_receiving(family: Neighbourhood) -> None:
    notebook = b64encode(demo.MEDICATION_NOTEBOOK.read_bytes()).decode()
    sent = {"subject": str(YUKI), "parts": [{"data": notebook}]}
    run = family.mother.ask("POST", "/api/imports/jahis-qr", encoded(sent))
    assert run.status == 202, run
    id = UUID(run.headers["Location"].rsplit("/", 1)[1])
    running.run(id, clock=timezone.now)
    kept = Confirmation.objects.get(run=id)
    assert (kept.subject_id, kept.acquired) == (YUKI, "from-the-person")
    assert kept.resources > 0 and kept.provider and len(kept.sha256) == 64
