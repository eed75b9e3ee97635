"""Consents as they come: the golden cases of the trust rules, and those IHE PCF describes, in our own words."""

from __future__ import annotations

from typing import Any

from consent.fhir_consent import ACT_CODE, CONFIDENTIALITY, PERSON, PURPOSE, SCOPE, Directory

DIRECTORY = Directory(
    codes={"1312345678": 1, "1399999999": 2}, references={"Organization/somewhere": 1, "Organization/researcher": 2}
)
TPO = [{"system": PURPOSE, "code": code} for code in ("TREAT", "HPAYMT", "HOPERAT")]
IN_2022 = {"start": "2022-01-01", "end": "2022-12-31"}


def consent(provision: dict[str, Any], **more: Any) -> dict[str, Any]:
    told = {
        "resourceType": "Consent", "status": "active",
        "scope": {"coding": [{"system": SCOPE, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": "Patient/00000000-0000-4000-8000-000000000001"},
        "policy": [{"uri": "http://example.org/policy"}], "provision": provision,
    }  # fmt: skip
    return told | more


def base(type: str = "permit", **more: Any) -> dict[str, Any]:
    return {"type": type, "purpose": TPO} | more


def who(number: int) -> dict[str, Any]:
    return {"role": {"text": "recipient"}, "reference": {"identifier": {"system": PERSON, "value": str(number)}}}


def practitioner() -> dict[str, Any]:
    """As PCF has it: a Practitioner, who is nobody in our register."""
    return {"role": {"text": "recipient"}, "reference": {"reference": "Practitioner/ex-practitioner"}}


def label(code: str, system: str = ACT_CODE) -> dict[str, Any]:
    return {"system": system, "code": code}


def level(code: str) -> dict[str, Any]:
    return label(code, CONFIDENTIALITY)


def purpose(code: str) -> list[dict[str, Any]]:
    return [{"system": PURPOSE, "code": code}]


def kind(name: str) -> list[dict[str, Any]]:
    return [{"system": "https://tsumugi.example/fhir/CodeSystem/category", "code": name}]


# The eight cases of the trust rules, section 4; persons 1, 2 and 3 are drX, drY and bob.
CASES: dict[str, dict[str, Any]] = {
    "1": base(securityLabel=[level("N")]),
    "2": base(securityLabel=[level("N")],
              provision=[{"type": "permit", "actor": [who(1)], "securityLabel": [label("PSY")]}]),
    "3": {"type": "permit", "dataPeriod": IN_2022},
    "4": {"type": "permit", "provision": [{"type": "deny", "dataPeriod": IN_2022}]},
    "5": {"type": "permit", "provision": [
        {"type": "deny", "actor": [who(3)], "provision": [{"type": "permit", "purpose": purpose("PATRQT")}]}]},
    "6": {"type": "deny", "provision": [
        {"type": "permit", "purpose": purpose("BTG"), "securityLabel": [level("N"), level("R")]}]},
    "7": {"type": "permit", "provision": [
        {"type": "deny", "securityLabel": [label("PSY")], "provision": [{"type": "permit", "actor": [who(1)]}]}]},
    "8": {"type": "permit", "provision": [
        {"type": "deny", "class": kind("LABORATORY"), "provision": [{"type": "permit", "actor": [who(1)]}]},
        {"type": "deny", "actor": [who(1)], "purpose": purpose("HRESCH")}]},
}  # fmt: skip

# What IHE PCF describes, by the names of its examples.
PCF: dict[str, dict[str, Any]] = {
    "basic-treat": base(),
    "basic-reject": {"type": "deny"},
    "expired-treat": base(period={"end": "2022-12-31"}),
    "intermediate-timeframe": base(dataPeriod=IN_2022),
    "intermediate-not-timeframe": base(provision=[{"type": "deny", "dataPeriod": IN_2022}]),
    "intermediate-data": base(
        data=[{"meaning": "instance", "reference": {"reference": "DocumentReference/ex-documentreference"}}]),
    "intermediate-not-data": base(provision=[{"type": "deny", "data": [
        {"meaning": "instance", "reference": {"reference": "DocumentReference/ex-documentreference"}}]}]),
    "intermediate-authoredby": base(
        data=[{"meaning": "authoredby", "reference": {"reference": "Practitioner/ex-practitioner"}}]),
    "intermediate-encounter": base(
        data=[{"meaning": "related", "reference": {"reference": "Encounter/ex-encounter"}}]),
    "intermediate-purpose": {
        "type": "permit", "purpose": [{"system": "http://example.org/policies/purposeOfUse", "code": "FooBar"}],
        "actor": [{"role": {"text": "recipient"}, "reference": {"reference": "Organization/researcher"}}]},
    "intermediate-break-glass": {"type": "deny", "provision": [{"type": "permit", "purpose": purpose("BTG")}]},
    "advanced-normal": base(securityLabel=[level("N")]),
    "advanced-normal-restricted": base(securityLabel=[level("N"), level("R")]),
    "advanced-normal-not-restricted": base(
        securityLabel=[level("N")], provision=[{"type": "deny", "securityLabel": [level("R")]}]),
    "advanced-normal-focused-psy": base(
        securityLabel=[level("N")],
        provision=[{"type": "permit", "actor": [practitioner()], "securityLabel": [label("PSY")]}]),
    "advanced-normal-focused-psy-or-sex": base(
        securityLabel=[level("N")], provision=[{"type": "permit", "securityLabel": [label("PSY"), label("SEX")]}]),
}  # fmt: skip
