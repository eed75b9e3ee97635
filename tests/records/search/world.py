"""A small invented world of resources that refer to each other, and searches over it. Same seed, same world."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from phr.records.search.conditions import MODIFIERS

LOINC, UCUM, CATEGORY = "http://loinc.org", "http://unitsofmeasure.org", "urn:test:category"
CODES = ["29463-7", "8302-2", "8867-4"]
NAMES = ["abe", "baba", "chiba", "abiko"]
TAGS = ["red", "blue"]
DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(0, 12, 3)]
Resource = dict[str, Any]


def patient_id(n: int) -> str:
    return str(UUID(int=0x77000000_0000_4000_8000_000000000000 + n))


def world(seed: int) -> list[Resource]:
    """Some 60 resources in the order in which they are stored: what is referred to mostly first, not always."""
    random = Random(seed)
    organizations = [_organization(random, n) for n in range(6)]
    patients = [_patient(random, n) for n in range(8)]
    observations = [_observation(random, n) for n in range(36)]
    lists = [_list(random, n) for n in range(6)]
    for resource in (made := [*organizations, *patients, *observations, *lists]):
        if random.random() < 0.4:
            resource["meta"] = {"tag": [{"system": "urn:test:tag", "code": random.choice(TAGS)}]}
    random.shuffle(made)
    return made


def _some(random: Random, resource: Resource, **maybe: Any) -> Resource:
    return resource | {key: value for key, value in maybe.items() if random.random() < 0.75}


def _organization(random: Random, n: int) -> Resource:
    up = {"reference": f"Organization/org-{random.randrange(6)}"}
    return _some(random, {"resourceType": "Organization", "id": f"org-{n}", "name": random.choice(NAMES).title()},
                 partOf=up, active=random.random() < 0.5)  # fmt: skip


def _patient(random: Random, n: int) -> Resource:
    return _some(
        random, {"resourceType": "Patient", "id": patient_id(n)},
        name=[{"family": random.choice(NAMES).title(), "given": [random.choice(NAMES)]}],
        gender=random.choice(["male", "female"]), birthDate=random.choice(DAYS).isoformat(),
        identifier=[{"system": "urn:test:id", "value": str(n)}],
        managingOrganization={"reference": f"Organization/org-{random.randrange(6)}"},
    )  # fmt: skip


def _coded(random: Random) -> Resource:
    return {"coding": [{"system": LOINC, "code": code} for code in random.sample(CODES, random.choice([1, 1, 2]))]}


def _quantity(random: Random) -> Resource:
    unit = random.choice(["kg", "g", "cm"])
    number = Decimal(random.randrange(1, 8)) * random.choice([Decimal(1), Decimal("0.5"), Decimal(1000)])
    return {"value": number, "unit": unit, "system": UCUM, "code": unit}


def _effective(random: Random) -> Resource:
    if random.random() < 0.7:
        return {"effectiveDateTime": random.choice(DAYS).isoformat()}
    start, end = sorted(random.sample(DAYS, 2))
    ends = {"start": start.isoformat(), "end": end.isoformat()}
    return {"effectivePeriod": {key: ends[key] for key in random.choice([("start",), ("end",), ("start", "end")])}}


def _observation(random: Random, n: int) -> Resource:
    subject = {"reference": f"Patient/{patient_id(random.randrange(9))}"}
    members = [{"reference": f"Observation/obs-{random.randrange(38)}"} for _ in range(random.choice([1, 2]))]
    by = random.choice([f"Organization/org-{random.randrange(7)}", f"Patient/{patient_id(random.randrange(9))}"])
    performer: Resource = {"reference": by}
    if random.random() < 0.2:
        performer = {"identifier": {"system": "urn:test:who", "value": random.choice("xy")}}
    made = _some(
        random,
        {
            "resourceType": "Observation",
            "id": f"obs-{n}",
            "status": random.choice(["final", "amended"]),
            "code": _coded(random),
            "subject": subject,
        },
        valueQuantity=_quantity(random),
        hasMember=members,
        performer=[performer],
        category=[{"coding": [{"system": CATEGORY, "code": random.choice("ab")}]}],
        component=[{"code": _coded(random), "valueQuantity": _quantity(random)} for _ in range(random.choice([1, 2]))],
    )
    return made | (_effective(random) if random.random() < 0.85 else {})


def _list(random: Random, n: int) -> Resource:
    entries = [f"Observation/obs-{random.randrange(38)}", f"Organization/org-{random.randrange(7)}"]
    items = [{"item": {"reference": reference}} for reference in random.sample(entries, random.choice([1, 2]))]
    status = random.choice(["current", "retired"])
    made = {"resourceType": "List", "id": f"list-{n}", "status": status, "mode": "working",
            "subject": {"reference": f"Patient/{patient_id(random.randrange(8))}"}}  # fmt: skip
    return _some(random, made, entry=items)


# Searches: (name, value) pairs per type


PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]
_days = st.tuples(st.sampled_from(PREFIXES), st.sampled_from([*(d.isoformat() for d in DAYS), "2026-01", "2026"])).map(
    "".join
)
_amounts = st.tuples(
    st.sampled_from([*PREFIXES, "ap"]), st.sampled_from(["1", "2", "2.0", "3.5", "500", "2000", "5e3"]),
    st.sampled_from(["", f"|{UCUM}|kg", f"|{UCUM}|g", f"|{UCUM}|m", "||kg", "||cm"]),
).map("".join)  # fmt: skip
_codes = st.sampled_from(
    [*CODES, f"{LOINC}|{CODES[0]}", f"{LOINC}|", f"|{CODES[0]}", f"urn:other|{CODES[0]}", ",".join(CODES[:2])]
)
_names = st.sampled_from(["a", "ab", "Abe", "chiba", "ba", "baba", "x"])
_organizations = st.sampled_from(["org-0", "Organization/org-1", "org-2,org-3", "org-6"])
_patients = st.integers(0, 8).map(patient_id)
_tags = st.sampled_from(["red", "urn:test:tag|blue"])
_bool = st.sampled_from(["true", "false"])


def _pair(names: str | list[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.sampled_from([names] if isinstance(names, str) else names), values)


# The table's own modifiers: what is added there is asked here
_STRINGS = ["", *(f":{modifier}" for modifier in MODIFIERS["string"] if modifier != "missing")]


_ORGANIZATION = (
    _pair([f"name{modifier}" for modifier in _STRINGS], _names) | _pair(["active", "active:not"], _bool)
    | _pair(["partof", "partof:Organization"], st.sampled_from(["org-0", "org-2", "org-2,org-3"]))
    | _pair(["partof:missing", "active:missing", "_tag:missing"], _bool) | _pair(["_tag", "_tag:not"], _tags)
    | _pair("_id", st.sampled_from(["org-0", "org-1,org-2", "x"]))
)  # fmt: skip
_PATIENT = (
    _pair(["given", *(f"family{modifier}" for modifier in _STRINGS)], _names)
    | _pair(["gender", "gender:not"], st.sampled_from(["male", "female"]))
    | _pair("birthdate", _days)
    | _pair("organization", _organizations)
    | _pair("identifier", st.sampled_from(["1", "urn:test:id|2", "urn:test:id|"]))
    | _pair(["gender:missing", "birthdate:missing", "organization:missing"], _bool)
    | _pair("_id", _patients)
)
_OBSERVATION = (
    _pair(["code", "code:not", "component-code", "combo-code"], _codes)
    | _pair("date", _days)
    | _pair("category", st.sampled_from(["a", f"{CATEGORY}|b"]))
    | _pair(["status", "status:not"], st.just("final"))
    | _pair(["patient", "subject:Patient", "performer:Patient"], _patients)
    | _pair("subject", _patients.map(lambda one: f"Patient/{one}"))
    | _pair("performer", _organizations)
    | _pair("performer:identifier", st.sampled_from(["x", "urn:test:who|y", "|x"]))
    | _pair("has-member", st.sampled_from(["obs-1", "Observation/obs-2", "obs-3,obs-4"]))
    | _pair(["value-quantity", "component-value-quantity", "combo-value-quantity"], _amounts)
    | _pair(
        ["code-value-quantity", "component-code-value-quantity", "combo-code-value-quantity"],
        st.tuples(st.sampled_from(CODES) | st.just(f"{LOINC}|{CODES[1]}"), _amounts).map("$".join),
    )
    | _pair(["value-quantity:missing", "date:missing", "component-code:missing"], _bool)
    | _pair(["_tag", "_tag:not"], _tags)
)


def _below(start: str, pairs: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    return pairs.map(lambda pair: (start + pair[0], pair[1]))


_LISTED = _pair("_list", st.sampled_from(["list-0", "list-1", "list-2,list-3"]))
ORGANIZATION = (
    _ORGANIZATION | _below("partof.", _ORGANIZATION) | _below("partof.partof.", _ORGANIZATION) | _LISTED
    | _below("_has:Patient:organization:", _PATIENT) | _below("_has:Organization:partof:", _ORGANIZATION)
    | _below("_has:Patient:organization:_has:Observation:patient:", _OBSERVATION)
)  # fmt: skip
PATIENT = (
    _PATIENT | _below("organization.", _ORGANIZATION) | _below("organization:Organization.partof.", _ORGANIZATION)
    | _below("_has:Observation:patient:", _OBSERVATION) | _below("_has:Observation:subject:", _OBSERVATION)
    | _below("_has:Observation:performer:", _OBSERVATION)
    | _below("_has:Observation:patient:performer:Organization.", _ORGANIZATION)
    | _below("organization._has:Patient:organization:", _PATIENT)
)  # fmt: skip
OBSERVATION = (
    _OBSERVATION | _below("patient.", _PATIENT) | _below("subject:Patient.", _PATIENT) | _LISTED
    | _below("performer:Organization.", _ORGANIZATION) | _below("performer:Patient.organization.", _ORGANIZATION)
    | _below("has-member:Observation.", _OBSERVATION) | _below("_has:Observation:has-member:", _OBSERVATION)
    | _below("has-member:Observation.patient.", _PATIENT) | _below("patient.organization.partof.", _ORGANIZATION)
    | _below("_has:List:item:", _pair("status", st.just("current")))
)  # fmt: skip
SEARCHES = {"Organization": ORGANIZATION, "Patient": PATIENT, "Observation": OBSERVATION}
SORTS = {
    "Organization": ["name", "-name", "_id", "-_lastUpdated", "partof:Organization.name", "-partof.name,_id", ""],
    "Patient": ["family", "-family", "birthdate", "-birthdate", "organization.name,-_id", ""],
    "Observation": ["date", "-date", "_lastUpdated", "-_lastUpdated", "patient.family", "-patient.birthdate,date",
                    "-date,-_lastUpdated", "-patient._id", "", "_id"],
}  # fmt: skip


# `_filter`


def _term(names: list[str], operators: list[str], values: list[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(names), st.sampled_from(operators), st.sampled_from(values)).map(" ".join)


_TEXTS = ["abe", "a", '"ba"']
_TRUTH = ["true", "false"]
_TERMS = {
    "Organization": _term(["name"], ["eq", "ne", "co", "sw", "ew"], _TEXTS)
    | _term(["active"], ["eq", "ne", "pr"], _TRUTH)
    | _term(["partof"], ["eq", "re", "ne"], ["Organization/org-1", "org-2"]),
    "Patient": _term(["family"], ["eq", "co", "sw", "ew"], _TEXTS)
    | _term(["gender"], ["eq", "ne"], ["male", '"female"'])
    | _term(["birthdate"], ["eq", "ne", "gt", "le", "po", "sa", "eb"], ["2026-01-04", "2026"])
    | _term(["gender", "birthdate"], ["pr"], _TRUTH),
    "Observation": _term(["code", "component-code"], ["eq", "ne"], [*CODES, f"{LOINC}|{CODES[0]}"])
    | _term(["date"], ["eq", "gt", "lt", "ge", "po"], ["2026-01-04", "2026-01"])
    | _term(["value-quantity"], ["eq", "gt", "le"], ["2", f"2|{UCUM}|kg"]) | _term(["status"], ["eq", "ne"], ["final"]),
}  # fmt: skip
_STEPS = {
    "Organization": [
        ("partof.", "Organization"),
        ("_has:Patient:organization:", "Patient"),
        ("partof[active eq true].", "Organization"),
    ],
    "Patient": [
        ("organization.", "Organization"),
        ("_has:Observation:patient:", "Observation"),
        ("organization[name co a].", "Organization"),
    ],
    "Observation": [
        ("subject:Patient.", "Patient"),
        ("patient.organization.", "Organization"),
        ("performer:Organization.", "Organization"),
        ("patient[gender eq male].", "Patient"),
    ],
}


def _filters(type: str) -> st.SearchStrategy[str]:
    own = _TERMS[type]
    steps = st.one_of([_TERMS[kind].map(step.__add__) for step, kind in _STEPS[type]])
    two = st.tuples(own | steps, st.sampled_from([" and ", " or "]), own | steps).map("".join)
    grouped = two.map("({})".format) | two.map("not ({})".format) | own.map("not({})".format)
    return own | steps | two | st.tuples(grouped, st.sampled_from([" and ", " or "]), own | grouped).map("".join)


FILTERS = {type: _filters(type) for type in SEARCHES}
