"""Consents at the trust's API: given, replaced, paused, withdrawn whole and in part, everything stopped; receipts."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from consent import receipts, sealing
from consent.grants import given
from consent.models import Grant, Notice, Organization
from consent.signing import signing_key
from phr.populate.cast import HANA, YUKI
from phr.smart.models import Launch
from tests.family import Answer, App, Neighbourhood, audit_lines, encoded, pressure, weight

CODE = "1319999999"
TERMS = {
    "benefit": "研究の結果をお知らせします", "profiling": False, "onward": False, "use_class": "public-interest",
    "withdrawal": "アプリの「同意」から", "contact": "desk@example.test",
}  # fmt: skip


@pytest.fixture
def office(family: Neighbourhood) -> Organization:
    made = Organization.objects.create(name="例示医院", kind="clinic", code=CODE)
    family.demo.organizations[CODE] = made
    return made


def call(app: App, what: str, told: Any = None, *, of: Any = YUKI, method: str = "POST") -> Answer:
    body = None if told is None and method == "GET" else encoded(told if told is not None else {})
    return app.ask(method, f"/api/trust/records/{of}/{what}", body, type="application/json")


def get(app: App, what: str, *, of: Any = YUKI) -> Any:
    answer = call(app, what, of=of, method="GET")
    assert answer.status == 200, answer
    return answer.json


def to(office: Organization, **more: Any) -> dict[str, Any]:
    return {"permit": True, "actors": [f"org:{office.pk}"], "purposes": ["TREAT"],
            "categories": ["VITAL", "GROWTH"]} | more  # fmt: skip


def given_to(family: Neighbourhood, office: Organization, **more: Any) -> int:
    answer = call(family.mother, "consents/give", {"root": to(office, **more)})
    assert answer.status == 201, answer
    return int(answer.json["id"])


@pytest.mark.IT("04")
def test_giving_replacing_pausing_and_resuming_count_at_once(family: Neighbourhood, office: Organization) -> None:
    mother, clinic = family.mother, family.of_clinic(CODE)
    seen = mother.made(pressure())["id"]
    number = given_to(family, office)
    assert clinic.get(f"Observation/{seen}").status == 200
    shown = get(mother, f"consents/{number}")
    assert (shown["state"], shown["own"], shown["permits"], shown["provision"]) == ("active", True, True, False)
    assert "例示医院" in shown["words"]["ja"][0]
    assert "treatment" in shown["words"]["en"][0]

    assert call(mother, f"consents/{number}/pause").json["state"] == "paused"
    assert clinic.get(f"Observation/{seen}").status == 404
    assert call(mother, f"consents/{number}/pause").status == 200
    assert call(mother, f"consents/{number}/resume").json["state"] == "active"
    assert clinic.get(f"Observation/{seen}").status == 200

    replaced = call(mother, f"consents/{number}/replace", {"root": to(office, categories=["GROWTH"])}, method="PUT")
    assert (replaced.status, replaced.json["version"], replaced.json["supersedes"]) == (200, 2, number)
    assert clinic.get(f"Observation/{seen}").status == 404
    assert [v["version"] for v in get(mother, f"consents/{replaced.json['id']}/versions")] == [2, 1]
    consent = mother.get(f"Consent/{replaced.json['consent']}")
    assert (consent.status, consent.json["meta"]["versionId"]) == (200, "4")  # given, paused, resumed, replaced
    events = [e for e in ("given", "paused", "resumed") if audit_lines(f"grant:{e}")]
    assert events == ["given", "paused", "resumed"]


@pytest.mark.IT("11")
def test_withdrawing_takes_no_more_steps_than_giving(family: Neighbourhood, office: Organization) -> None:
    """One call gives, one call withdraws, with a token whose proof of who one is has grown old."""
    mother, clinic = family.mother, family.of_clinic(CODE)
    seen = mother.made(pressure())["id"]
    number = given_to(family, office)
    Launch.objects.update(acr="aal1", authenticated_at=family.now - timedelta(days=1))
    ended = call(mother, f"consents/{number}/withdraw", {"reason": "もう通っていません"})
    assert (ended.status, ended.json["state"]) == (200, "inactive")
    assert clinic.get(f"Observation/{seen}").status == 404
    assert mother.get(f"Consent/{ended.json['consent']}").json["status"] == "inactive"
    system = family.of_clinic(CODE, scope="system/*.cruds trust.read trust.write")
    [told] = system.get("/api/trust/notices").json
    assert (told["kind"], told["record"], told["acknowledged_at"]) == ("grant:ended", str(YUKI), None)
    assert told["detail"] == {"grant": number, "grant_version": 1, "because": "withdrawn"}
    noted = f"/api/trust/notices/{told['id']}/acknowledge"
    assert family.clinic.ask("POST", noted, b"{}", type="application/json").status == 404  # another organisation's
    assert system.ask("POST", noted, b"{}", type="application/json").status == 204
    assert Notice.objects.get(organization=office).acknowledged_at is not None
    assert "もう" not in json.dumps(get(mother, "consents"), ensure_ascii=False)


@pytest.mark.IT("11")
def test_a_part_is_withdrawn_and_the_rest_stays(family: Neighbourhood, office: Organization) -> None:
    mother, clinic = family.mother, family.of_clinic(CODE)
    vital, growth = mother.made(pressure())["id"], mother.made(weight())["id"]
    number = given_to(family, office, purposes=["TREAT", "HOPERAT"])
    rest = call(mother, f"consents/{number}/withdraw", {"categories": ["VITAL"], "purposes": ["HOPERAT"]})
    assert (rest.status, rest.json["version"], rest.json["root"]["categories"]) == (200, 2, ["GROWTH"])
    assert rest.json["root"]["purposes"] == ["TREAT"]
    assert clinic.get(f"Observation/{vital}").status == 404
    assert clinic.get(f"Observation/{growth}").status == 200
    nothing = call(mother, f"consents/{rest.json['id']}/withdraw", {"categories": ["DENTAL"]})
    assert nothing.status == 422
    last = call(mother, f"consents/{rest.json['id']}/withdraw", {"categories": ["GROWTH"]})
    assert (last.json["state"], clinic.get(f"Observation/{growth}").status) == ("inactive", 404)


@pytest.mark.IT("12")
def test_stop_everything_in_one_call(family: Neighbourhood, office: Organization) -> None:
    mother, other, clinic = family.mother, family.of_clinic(CODE), family.clinic
    seen = mother.made(pressure())["id"]
    given_to(family, office)
    assert (other.get(f"Observation/{seen}").status, clinic.get(f"Observation/{seen}").status) == (200, 200)
    Launch.objects.update(acr="", authenticated_at=None)
    stop = call(mother, "stop/everything")
    assert (stop.status, stop.json["stopped"]) == (200, True)
    assert (other.get(f"Observation/{seen}").status, clinic.get(f"Observation/{seen}").status) == (404, 404)
    assert (other.search("Observation").ids, mother.get(f"Observation/{seen}").status) == ([], 200)
    assert Notice.objects.filter(organization=office, detail__because="stopped").exists()
    assert call(mother, "stop/everything").json == stop.json  # twice is once

    again = call(mother, "consents/give", {"root": to(office)})
    assert (again.status, str(stop.json["stops"][0]) in again.json["detail"]) == (409, True)
    assert call(mother, "stop/resume").json == {"stopped": False, "stops": []}
    assert other.get(f"Observation/{seen}").status == 200


@pytest.mark.IT("12")
@pytest.mark.G("14", "15")
def test_either_guardian_stops_and_only_she_resumes(family: Neighbourhood, office: Organization) -> None:
    mother, father, clinic = family.app("mother", patient="hana"), family.father, family.of_clinic(CODE)
    seen = mother.made(pressure(HANA))["id"]
    assert call(mother, "consents/give", {"root": to(office)}, of=HANA).status == 201
    assert clinic.get(f"Observation/{seen}").status == 200
    stop = call(father, "stop/everything", of=HANA)
    assert stop.status == 200
    assert clinic.get(f"Observation/{seen}").status == 404
    assert (mother.get(f"Observation/{seen}").status, father.get(f"Observation/{seen}").status) == (200, 200)
    assert call(mother, "stop/resume", of=HANA).json == stop.json
    number = stop.json["stops"][0]
    assert call(mother, f"consents/{number}/withdraw", of=HANA).status == 403
    assert len(audit_lines("grant:refused")) == 1
    assert Notice.objects.filter(kind="guardians:disagree").exists()
    assert call(father, "stop/resume", of=HANA).json["stopped"] is False
    assert clinic.get(f"Observation/{seen}").status == 200


@pytest.mark.IT("06")
def test_nothing_is_chosen_beforehand(family: Neighbourhood, office: Organization) -> None:
    """A consent that leaves something out gets no default for it; without any consent every journey works."""
    words = family.anonymous.get("/api/trust/vocabulary").json
    assert "default" not in json.dumps(words)
    for left_out in ("actors", "purposes"):
        root = {k: v for k, v in to(office).items() if k != left_out}
        assert call(family.mother, "consents/give", {"root": root}).status == 422
    for grant in Grant.objects.filter(subject=YUKI, state="active"):
        assert call(family.mother, f"consents/{grant.pk}/withdraw").status == 200
    made = family.mother.made(pressure())
    assert family.mother.put(made | {"status": "amended"}).status == 200
    assert family.mother.get(f"Patient/{YUKI}/$everything").status == 200
    assert get(family.mother, "consents") != []
    assert family.mother.delete(f"Observation/{made['id']}").status == 204


def study(office: Organization, family: Neighbourhood) -> dict[str, Any]:
    return to(
        office, purposes=["HRESCH"], valid_to=(family.now + timedelta(days=300)).isoformat(),
        data_low="2020-01-01T00:00:00+09:00",
    )  # fmt: skip


@pytest.mark.IT("02")
def test_a_consent_for_provision_says_everything(family: Neighbourhood, office: Organization) -> None:
    root = study(office, family)
    for name in TERMS:
        less = {k: v for k, v in TERMS.items() if k != name}
        answer = call(family.mother, "consents/give", {"root": root, "terms": less})
        assert (answer.status, answer.json["place"]) == (422, f"terms.{name}")
    for name in ("actors", "purposes", "categories", "data_low", "valid_to"):
        less = {k: v for k, v in root.items() if k != name}
        assert call(family.mother, "consents/give", {"root": less, "terms": TERMS}).status == 422
    assert len(audit_lines("grant:refused")) == len(TERMS) + 5
    made = call(family.mother, "consents/give", {"root": root, "terms": TERMS})
    assert (made.status, made.json["provision"], made.json["terms"]["benefit"]) == (201, True, TERMS["benefit"])


@pytest.mark.IT("02")
@pytest.mark.parametrize("locale", ["ja", "en"])
def test_the_receipt_is_signed_and_its_text_is_made_anew(
    family: Neighbourhood, office: Organization, locale: str
) -> None:
    told = {"root": study(office, family), "terms": TERMS | {"locale": locale}}
    number = call(family.mother, "consents/give", told).json["id"]
    Organization.objects.filter(pk=office.pk).update(name="名を変えた医院")  # the text stays as it was shown
    kept = get(family.mother, f"consents/{number}/receipt")
    stored = Grant.objects.get(pk=number)
    assert hashlib.sha256(kept["text"].encode()).hexdigest() == kept["sha256"] == stored.text_sha256
    assert receipts.text(given(stored), locale) == kept["text"]
    for word in ("例示医院", TERMS["benefit"], TERMS["withdrawal"], TERMS["contact"]):
        assert word in kept["text"]

    key = signing_key(settings.PHR_AUDIT_KEY).public_key()
    signed = JWS()
    signed.deserialize(kept["receipt"], JWK.from_pem(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)))
    assert json.loads(signed.payload) == kept["content"]
    header = json.loads(b64decode(kept["receipt"].partition(".")[0] + "=="))
    assert (header["alg"], header["kid"]) == ("EdDSA", sealing.key_id(key))
    content = kept["content"]
    assert (content["schema_version"], content["record_id"]) == ("ISO/IEC TS 27560:2023", f"grant:{number}")
    [purpose] = content["pii_processing"]["purposes"]
    assert (purpose["purpose"], purpose["profiling"], purpose["recipient_third_parties"]) == (
        "HRESCH", False, [f"org:{office.pk}"],
    )  # fmt: skip


def test_giving_for_provision_needs_a_fresh_proof(family: Neighbourhood, office: Organization) -> None:
    told = {"root": study(office, family), "terms": TERMS}
    Launch.objects.update(acr="aal1")
    answer = call(family.mother, "consents/give", told)
    assert (answer.status, 'acr_values="' in answer.headers["WWW-Authenticate"]) == (401, True)
    assert call(family.mother, "consents/give", {"root": to(office)}).status == 201
    deny = {"permit": False, "actors": ["class:research"]}
    assert call(family.mother, "consents/give", {"root": deny}).status == 201


@pytest.mark.IT("03")
@pytest.mark.parametrize(
    "more",
    [
        {"valid_to": None},  # no end
        {"valid_to": 500},  # more than a year
        {"valid_to": 300, "labels": ["PSY"], "categories": None},  # level 3
        {"valid_to": 300, "level": 3},
        {"valid_to": 300, "purposes": None},  # no purpose list
        {"valid_to": 300, "categories": None},  # every category
    ],
)
def test_what_a_comprehensive_consent_may_not_be(
    family: Neighbourhood, office: Organization, more: dict[str, Any]
) -> None:
    days = more.get("valid_to")
    end = {} if days is None else {"valid_to": (family.now + timedelta(days=days)).isoformat()}
    root = {k: v for k, v in (to(office, actors=["class:clinic"]) | more | end).items() if v is not None}
    answer = call(family.mother, "consents/give", {"root": root})
    assert (answer.status, answer.json["place"][:4]) == (422, "root")
    assert not Grant.objects.filter(subject=YUKI, root__actors=["class:clinic"]).exists()


def test_a_proposal_is_accepted_or_rejected(family: Neighbourhood, office: Organization) -> None:
    from tests.fhir.test_consents import clinic_code, consent

    mother, clinic = family.mother, family.clinic
    numbers = []
    for _ in range(2):
        made = clinic.made(consent(to=clinic_code(family)))
        numbers.append(Grant.objects.get(consent_id=made["id"]).pk)
    kinds = [n["kind"] for n in mother.get("/api/trust/notices").json]
    assert kinds.count("grant:proposed") == 2
    assert call(mother, f"consents/{numbers[0]}/receipt", method="GET").status == 409  # nothing was given yet
    yes = call(mother, f"consents/{numbers[0]}/accept")
    assert get(mother, f"consents/{yes.json['id']}/receipt")["content"]["record_version"] == 2
    assert (yes.status, yes.json["state"], yes.json["own"]) == (201, "active", True)
    assert call(mother, f"consents/{numbers[0]}/accept").status == 409
    no = call(mother, f"consents/{numbers[1]}/reject")
    assert (no.status, no.json["state"]) == (200, "inactive")
    assert clinic.get(f"Consent/{no.json['consent']}").json["status"] == "rejected"


def test_hostile_bodies_are_refused_with_their_place(family: Neighbourhood, office: Organization) -> None:
    deep: dict[str, Any] = {"permit": True}
    for _ in range(50):
        deep = {"permit": True, "clauses": [deep]}
    for root in (None, 1, [], "x", {}, {"permit": 1}, deep, to(office, actors=["org:x"]), to(office, odd=1),
                 to(office, valid_to="soon"), to(office, level=10**30), to(office, authors=[10**30])):  # fmt: skip
        answer = call(family.mother, "consents/give", {"root": root})
        assert answer.status == 422, (root, answer)
    for told in ({}, {"root": to(office), "supersedes": -1}, {"root": to(office), "terms": {"program": "x"}},
                 {"root": to(office), "ask": "perhaps"}):  # fmt: skip
        assert call(family.mother, "consents/give", told).status == 422
    assert call(family.mother, "consents/give", {"root": to(office), "supersedes": 10**12}).status == 404


@pytest.mark.G("14")
def test_the_consent_follows_what_the_other_guardian_answers(family: Neighbourhood, office: Organization) -> None:
    mother, father = family.app("mother", patient="hana"), family.father
    told = {"root": study(office, family), "terms": TERMS}
    asked = call(mother, "consents/give", told, of=HANA)
    assert (asked.status, asked.json["state"]) == (201, "proposed")
    consent = f"Consent/{asked.json['consent']}"
    assert father.get(consent).json["status"] == "proposed"
    [act] = get(father, "joint-acts", of=HANA)
    assert call(father, f"joint-acts/{act['id']}/agree", of=HANA).status == 200
    assert father.get(consent).json["status"] == "active"
    assert get(mother, f"consents/{asked.json['id']}", of=HANA)["state"] == "active"
