"""Receipts in the record: whose are kept, what a later claim changes, and that claims stand apart from findings."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from consent import grants
from consent.decide import Caller
from consent.models import Organization
from consent.scope import Clause
from integrations import feeding, resolving, taking
from integrations.feeding import Outcome
from integrations.items import Identity, Piece
from integrations.models import LocalNumber, WaitingItem
from integrations.problems import Unreadable
from integrations.receipts import connector
from phr.fhir.operations.summary import made as summary_of
from phr.records import body, systems
from phr.records.gateway import Forbidden, Records
from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.conftest import clinic
from tests.integrations.moves import kinds
from tests.integrations.receipts.samples import CLINIC, HO, IR, RE, days, lines

HANA_RE = RE.replace("19750401", "20180601")
OTHER_RE = HANA_RE.replace("00001", "77777")
DISEASE, OTHER = "SY,8833422,20251010,1,,見本病", "SY,0000999,20251010,1,,別の見本病"
TEST = f"SI,60,1,160008010,,21,1,,,,,,,{days({12: 1})}"
DRUG = f"IY,21,1,620099999,1,4,14,,,,,,,{days({12: 14})}"


@pytest.fixture
def office(db: None) -> Organization:
    return Organization.objects.create(code=CLINIC, name="見本医院", kind="clinic")


def linked(office: Organization, family: People, now: datetime) -> None:
    """The office's own number for Hana is 00001."""
    identity = Identity(system=systems.PATIENT_AT_INSTITUTION + CLINIC, value="00001")
    records = Records.opened_by(taking.caller_for(office, client="x"), now=now)
    wanted = {resolving.digest_of(identity.system, identity.value): (identity, family.hana.pk)}
    resolving.make(records, wanted, now=now, ground=LocalNumber.Ground.DESK)


def brought(office: Organization, now: datetime, *told: str) -> Outcome:
    by = taking.caller_for(office, client="x")
    return feeding.deposit(
        connector, [Piece("RECEIPTC.UKE", io.BytesIO(lines(*told)))], organization=office, by=by, now=now
    )


def test_of_those_nobody_linked_nothing_is_stored(family: People, office: Organization, now: datetime) -> None:
    linked(office, family, now)
    before = Resource.objects.count()
    found = brought(office, now, IR, OTHER_RE, HO, DISEASE, HANA_RE, HO, DISEASE, DRUG)
    assert found.created == 3
    assert kinds(family.hana.pk) == {"Coverage": 1, "Condition": 1, "MedicationStatement": 1, "Provenance": 1}
    assert Resource.objects.count() == before + 4
    assert not WaitingItem.objects.exists()


def test_a_birth_date_that_contradicts_is_refused(family: People, office: Organization, now: datetime) -> None:
    linked(office, family, now)
    assert brought(office, now, IR, RE, HO, DISEASE).created == 0
    assert not kinds(family.hana.pk)


def test_a_claim_sent_again_changes_nothing_and_a_corrected_one_is_a_new_version(
    family: People, office: Organization, now: datetime
) -> None:
    linked(office, family, now)
    brought(office, now, IR, HANA_RE, HO, DISEASE, OTHER)
    again = brought(office, now + timedelta(days=1), IR, OTHER_RE, HO, HANA_RE, HO, DISEASE, OTHER)
    assert (again.created, again.updated, again.retracted) == (0, 0, 0)
    later = IR.replace("202602", "202603")
    corrected = brought(office, now + timedelta(days=30), later, HANA_RE, HO, DISEASE.replace(",1,,", ",2,,"))
    assert (corrected.created, corrected.updated, corrected.retracted) == (0, 1, 1)
    older = brought(office, now + timedelta(days=31), IR, HANA_RE, HO, DISEASE, OTHER)
    assert (older.created, older.updated, older.retracted) == (0, 0, 0), "an older claim replaces nothing newer"
    said = Counter(
        body.parse(one.body or b"{}")["verificationStatus"]["coding"][0]["code"]
        for one in Records.opened_by(taking.caller_for(office, client="x"), now=now).newest(
            family.hana.pk, ("Condition",), most=10
        )[0]
    )
    assert said == {"provisional": 1, "entered-in-error": 1}


def test_another_institution_or_a_school_may_not_bring_them(
    family: People, office: Organization, now: datetime
) -> None:  # fmt: skip
    other = Organization.objects.create(code="1319999900", name="別の医院", kind="clinic")
    with pytest.raises(Unreadable):
        brought(other, now, IR, HANA_RE, HO)
    with pytest.raises(Forbidden):
        brought(family.school, now, IR, HANA_RE, HO)


def test_claims_are_no_problems_in_the_summary_and_not_of_the_emergency_set(
    family: People, mother: Caller, office: Organization, now: datetime
) -> None:
    linked(office, family, now)
    brought(office, now, IR.replace("202602", "202604"), HANA_RE.replace("202601", "202603"), HO, DISEASE, TEST, DRUG)
    records = Records.opened_by(mother, now=now)
    told = json.loads(summary_of(records, family.hana.pk))
    types = Counter(entry["resource"]["resourceType"] for entry in told["entry"])
    assert types["MedicationStatement"] == 1, "a medicine was handed over"
    assert not types["Condition"]
    assert not types["Procedure"]
    assert "見本病" not in json.dumps(told, ensure_ascii=False)
    level = {r.type: r.level for r in Resource.objects.filter(subject=family.hana.pk)}
    assert (level["Condition"], level["Procedure"], level["MedicationStatement"]) == (3, 3, 2)
    assert len(records.newest(family.hana.pk, ("Condition",), most=9)[0]) == 1, "her own record shows it, as a claim"


@pytest.mark.parametrize("named", [False, True])
def test_whom_a_family_lets_see_problems_sees_claims_only_where_insurance_is_named(
    family: People, office: Organization, now: datetime, named: bool
) -> None:
    linked(office, family, now)
    brought(office, now, IR, HANA_RE, HO, DISEASE)
    found = {
        "resourceType": "Condition", "code": {"coding": [{"system": systems.ICD10, "code": "J00"}]},
        "subject": {"reference": f"Patient/{family.hana.pk}"},
    }  # fmt: skip
    Records.opened_by(clinic(family), now=now).create(found)
    problems = Clause(
        permit=True, purposes=frozenset({"TREAT"}), actors=frozenset({f"org:{family.city.pk}"}),
        actions=frozenset({"access"}), categories=frozenset({"PROBLEM"}),
    )  # fmt: skip
    claims = replace(problems, categories=None, labels=frozenset({"INSURANCE", "UNCLASSIFIED"}))
    for root in (problems, claims) if named else (problems,):
        grants.give(subject=family.hana, root=root, by=family.yuki, capacity="guardian", now=now)
    city = replace(clinic(family), organization=family.city.pk)
    seen = Records.opened_by(city, now=now).newest(family.hana.pk, ("Condition",), most=9)[0]
    assert len(seen) == 1 + named
