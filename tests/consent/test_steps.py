"""Single rules of the decision, each by its own reason: contracts, classes, emergency access, provisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from consent import rules
from consent.decide import Caller, Capacity, Contract, Deny, Glass, Permit, Provided, decide
from consent.effective import rows_of
from consent.reasons import Rule
from consent.scope import Clause, Mark, Purpose
from tests.consent.strategies import HANA, REN
from tests.consent.test_decide import CHILD, CLINIC, DOCTOR, NOW, OF_CLINIC, refusal, sees, thing

SECOND = timedelta(seconds=1)
CONTRACT = Contract(id=3, state="active", ends_on=date(2026, 4, 1), certified_until=NOW + SECOND, purposes=("HRESCH",))
BOUND = replace(OF_CLINIC, recipient=CONTRACT)
PROVIDED = Provided(
    state="permitted", organization=9, subject=HANA, purpose="HRESCH", until=NOW + SECOND, program_state="active",
    given_as="guardian",
)  # fmt: skip
STUDY = Caller(
    client="study", capacity=Capacity.SYSTEM, purpose="HRESCH", doors=CLINIC.doors, organization=9, subject=HANA,
    provision="7",
)  # fmt: skip
GIVEN = replace(BOUND, subject_state="active", birth_on=date(2018, 6, 1), provision=PROVIDED, grants=True)
GLASS = Glass(id=4, subject=HANA, step=1, ends_at=NOW + SECOND)
ER = replace(DOCTOR, purpose="BTG", subject=HANA, glass=GLASS)
ON_DUTY = replace(OF_CLINIC, subject_state="active", birth_on=date(2018, 6, 1))
ALL = rows_of(1, HANA, Clause(permit=True, actors=frozenset({"org:9"})))


# -- recipients ------------------------------------------------------------------------------------


@pytest.mark.IT("20")
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({}, None),
        ({"state": "suspended"}, Rule.RECIPIENT_NOT_ACTIVE), ({"state": "ended"}, Rule.RECIPIENT_NOT_ACTIVE),
        ({"ends_on": date(2026, 3, 31)}, Rule.CONTRACT_ENDED), ({"certified_until": NOW}, Rule.CERTIFICATION_EXPIRED),
    ],
)  # fmt: skip
def test_a_contract_binds_to_the_second(change: dict[str, Any], rule: Rule | None) -> None:
    for caller in (CLINIC, DOCTOR):
        assert refusal(caller, replace(BOUND, recipient=replace(CONTRACT, **change))) is rule
    expired = replace(BOUND, recipient=replace(CONTRACT, **change))
    assert isinstance(decide(replace(STUDY), replace(GIVEN, recipient=expired.recipient), NOW), Deny) is (
        rule is not None
    )


@pytest.mark.IT("20")
def test_a_renewed_certificate_permits_again() -> None:
    assert refusal(STUDY, GIVEN, NOW + SECOND) is Rule.CERTIFICATION_EXPIRED
    renewed = replace(CONTRACT, certified_until=NOW + timedelta(days=1))
    later = replace(GIVEN, recipient=renewed, provision=replace(PROVIDED, until=NOW + timedelta(days=1)))
    assert refusal(STUDY, later, NOW + SECOND) is None


@pytest.mark.IT("25")
@pytest.mark.parametrize("purpose", sorted(rules.PROHIBITED_PURPOSES))
def test_a_prohibited_purpose_is_never_permitted_whoever_consents(purpose: str) -> None:
    study = replace(
        GIVEN, recipient=replace(CONTRACT, purposes=(purpose,)), provision=replace(PROVIDED, purpose=purpose)
    )
    assert refusal(replace(STUDY, purpose=purpose), study) is Rule.PURPOSE_PROHIBITED
    assert refusal(replace(ER, purpose=purpose), ON_DUTY) is Rule.PURPOSE_PROHIBITED


@pytest.mark.IT("03")
def test_a_class_counts_after_its_waiting_week() -> None:
    rows = rows_of(1, HANA, Clause(permit=True, actors=frozenset({"class:clinic"})))
    grants = replace(OF_CLINIC, grants=True)
    assert not sees(CLINIC, replace(grants, class_from=None), thing(author=8), rows=rows)
    assert not sees(CLINIC, replace(grants, class_from=NOW + SECOND), thing(author=8), rows=rows)
    assert sees(CLINIC, replace(grants, class_from=NOW), thing(author=8), rows=rows)


@pytest.mark.IT("03")
@pytest.mark.parametrize("since", [None, NOW + SECOND, NOW])
def test_a_deny_of_its_class_counts_while_it_waits(since: datetime | None) -> None:
    own = rows_of(1, HANA, Clause(permit=True, actors=frozenset({f"org:{CLINIC.organization}"})))
    denied = rows_of(2, HANA, Clause(permit=False, actors=frozenset({"class:clinic"})))
    grants = replace(OF_CLINIC, grants=True, class_from=since)
    assert sees(CLINIC, grants, thing(author=8), rows=own)
    assert not sees(CLINIC, grants, thing(author=8), rows=(*own, *denied))


# -- provisions ------------------------------------------------------------------------------------


@pytest.mark.IT("07")
@pytest.mark.parametrize(
    ("caller", "change", "rule"),
    [
        ({}, {}, None),
        ({}, {"state": "delivered"}, None),
        ({"provision": ""}, {}, Rule.NO_PROVISION),
        ({"capacity": Capacity.SELF, "person": 1}, {}, Rule.PERSON_NOT_ACTIVE),
        ({"organization": 8}, {}, Rule.PROVISION_MISMATCH),
        ({"subject": REN}, {}, Rule.PROVISION_MISMATCH),
        ({"subject": None}, {}, Rule.PROVISION_MISMATCH),
        ({"purpose": "TREAT"}, {}, Rule.PROVISION_MISMATCH),
        ({}, {"state": "asked"}, Rule.PROVISION_STATE),
        ({}, {"state": "refused"}, Rule.PROVISION_STATE),
        ({}, {"state": "ended"}, Rule.PROVISION_STATE),
        ({}, {"until": NOW}, Rule.PROVISION_OVER),
        ({}, {"program_state": "stopped"}, Rule.PROGRAM_STOPPED),
        ({}, {"given_as": ""}, Rule.CONSENT_GONE),
    ],
)
def test_outside_care_only_a_provision_in_force_opens_anything(
    caller: dict[str, Any], change: dict[str, Any], rule: Rule | None
) -> None:
    in_force = replace(GIVEN, provision=replace(PROVIDED, **change), person_active="person" not in caller)
    assert refusal(replace(STUDY, **caller), in_force) is rule


@pytest.mark.IT("20")
def test_who_is_no_registered_recipient_gets_nothing() -> None:
    assert refusal(STUDY, replace(GIVEN, recipient=None)) is Rule.RECIPIENT_MISSING
    assert refusal(STUDY, replace(GIVEN, recipient=replace(CONTRACT, purposes=()))) is Rule.RECIPIENT_PURPOSE
    assert refusal(STUDY, replace(GIVEN, provision=None)) is Rule.NO_PROVISION


def test_a_provision_still_needs_the_consent_and_shows_nothing_protected() -> None:
    assert sees(STUDY, GIVEN, thing(author=9), rows=ALL)
    assert not sees(STUDY, GIVEN, thing(author=9))  # not even what it wrote itself
    assert not sees(STUDY, GIVEN, thing("PSY"), rows=ALL)
    assert not sees(STUDY, GIVEN, thing(), "c", ALL)
    for mark in (Mark.LOCATION, Mark.MINOR_CONFIDENTIAL, Mark.CHILD_PROTECTION):
        assert not sees(STUDY, GIVEN, thing(marks=mark), rows=ALL)
    asked_each_time = tuple(replace(row, grantees=(*row.grantees, "provision:7")) for row in ALL)
    assert sees(STUDY, GIVEN, thing(), rows=asked_each_time)
    assert not sees(replace(STUDY, provision="8"), GIVEN, thing(), rows=asked_each_time)


@pytest.mark.G("10")
@pytest.mark.parametrize(("born", "rule"), [(date(2010, 4, 2), None), (date(2010, 4, 1), Rule.OWN_CONSENT)])
def test_from_sixteen_a_provision_rests_on_the_young_persons_own_consent(born: date, rule: Rule | None) -> None:
    guardians = replace(GIVEN, birth_on=born, provision=replace(PROVIDED, given_as="guardian"))
    assert refusal(STUDY, guardians) is rule
    own = Rule.GUARDIANS_CONSENT if rule is None else None  # before, her own word alone is not enough
    assert refusal(STUDY, replace(guardians, provision=replace(PROVIDED, given_as="self"))) is own
    assert refusal(STUDY, replace(guardians, birth_on=None)) is Rule.AGE_UNKNOWN


@pytest.mark.G("14")
def test_a_provision_needs_both_guardians() -> None:
    alone = replace(PROVIDED, given_as="guardian", lone_guardian=True)
    assert refusal(STUDY, replace(GIVEN, provision=alone)) is Rule.BOTH_GUARDIANS
    assert refusal(STUDY, replace(GIVEN, provision=replace(alone, lone_guardian=False))) is None


# -- emergency access ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "change", "rule"),
    [
        ({}, {}, None),
        ({"purpose": "ETREAT"}, {}, None),
        ({"purpose": "TREAT"}, {}, Rule.GLASS_MISMATCH),
        ({"subject": REN}, {}, Rule.GLASS_MISMATCH),
        ({"capacity": Capacity.SYSTEM}, {}, Rule.GLASS_NO_CLINICIAN),
        ({"person": None}, {}, Rule.GLASS_NO_CLINICIAN),
        ({}, {"person_organization": 8}, Rule.GLASS_NO_CLINICIAN),
        ({}, {"organization_kind": "pharmacy"}, Rule.GLASS_NO_CLINICIAN),
        ({}, {"organization_kind": "ambulance"}, None),
        ({}, {"person_active": False}, Rule.PERSON_NOT_ACTIVE),
        ({}, {"organization_state": "suspended"}, Rule.ORGANIZATION_NOT_ACTIVE),
        ({}, {"subject_state": "locked"}, Rule.SUBJECT_LOCKED),
        ({}, {"subject_state": "erased"}, Rule.SUBJECT_ERASED),
        ({}, {"kin": True}, Rule.GLASS_FAMILY),
    ],
)
def test_who_may_act_in_an_emergency(caller: dict[str, Any], change: dict[str, Any], rule: Rule | None) -> None:
    assert refusal(replace(ER, **caller), replace(ON_DUTY, **change)) is rule


def test_an_emergency_ends_to_the_second() -> None:
    assert refusal(ER, ON_DUTY, NOW + SECOND) is Rule.GLASS_OVER


def test_the_emergency_set_and_the_whole() -> None:
    deny = rows_of(2, HANA, Clause(permit=False))
    whole = replace(ER, glass=replace(GLASS, step=2))
    for name in ("ALLERGY", "MEDICATION", "PROBLEM", "IMMUNIZATION", "IDENTITY", "PREGNANCY"):
        assert sees(ER, ON_DUTY, thing(name), rows=deny)
        assert not sees(ER, ON_DUTY, thing(name, "PSY"), rows=deny)
        assert not sees(ER, ON_DUTY, thing(name, declared=3), rows=deny)
    for name in ("GROWTH", "IMAGING", "PSY", "SDV", "UNCLASSIFIED"):
        assert not sees(ER, ON_DUTY, thing(name), rows=deny)
        assert sees(whole, ON_DUTY, thing(name, declared=4), rows=deny)
        assert not sees(whole, ON_DUTY, thing(name, subject=REN))
    for letter in "cud":
        assert not sees(whole, replace(ON_DUTY, grants=True), thing(), letter, ALL)
    two = replace(thing(), subjects=(HANA, REN))
    assert not sees(whole, ON_DUTY, two)
    assert sees(whole, replace(ON_DUTY, location_hidden=True), thing(marks=Mark.LOCATION))


def test_without_an_opened_emergency_the_purpose_alone_opens_nothing() -> None:
    """Golden case 6 stays: a consent may permit BTG; the word in a token does not."""
    nobody = replace(ER, glass=None)
    assert refusal(nobody, ON_DUTY) is Rule.NO_GRANT
    btg = rows_of(1, HANA, Clause(permit=True, purposes=frozenset({"BTG"}), level=2))
    assert sees(nobody, replace(ON_DUTY, grants=True), thing(author=8), rows=btg)


def test_every_purpose_is_care_or_needs_a_provision() -> None:
    assert set(Purpose) - rules.CARE_PURPOSES >= {Purpose.HRESCH}
    assert set(Purpose) >= rules.CARE_PURPOSES
    for purpose in set(Purpose) - rules.CARE_PURPOSES:
        for caller, in_force in ((replace(CLINIC, purpose=purpose), BOUND), (replace(DOCTOR, purpose=purpose), CHILD)):
            assert isinstance(decide(caller, in_force, NOW), Deny)


def test_reasons_say_what_they_rest_on() -> None:
    told = decide(STUDY, GIVEN, NOW)
    assert isinstance(told, Permit)
    assert [str(reason) for reason in told.because] == ["L5.provision provision:7", "L3.permitted"]
    told = decide(ER, ON_DUTY, NOW)
    assert isinstance(told, Permit)
    assert [str(reason) for reason in told.because] == ["L4.emergency-set glass:4"]
    expired = decide(CLINIC, replace(BOUND, recipient=replace(CONTRACT, certified_until=NOW)), NOW)
    assert isinstance(expired, Deny)
    assert str(expired.because) == "L1.recipient-certification-expired recipient:3"
