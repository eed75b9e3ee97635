"""Small profiles and the means to check against them without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from phr.records.profiles import bundled, conform
from phr.records.profiles.library import Library
from phr.records.validate import Problem

BASE = "http://hl7.org/fhir/StructureDefinition/"
HERE = "http://example.org/StructureDefinition/"
NOW = datetime(2026, 4, 1, tzinfo=UTC)
LOINC = "http://loinc.org"
# the value sets of these tests: url -> codes
SETS = {"http://example.org/ValueSet/colours": {"red", "green"}}

Resource = dict[str, Any]


def element(id: str, **rules: Any) -> dict[str, Any]:
    path = ".".join(part.partition(":")[0] for part in id.split("."))
    last = id.rpartition(".")[2]
    return {"id": id, "path": path} | ({"sliceName": last.partition(":")[2]} if ":" in last else {}) | rules


def profile(name: str, type: str, *elements: dict[str, Any], **told: Any) -> Resource:
    """A profile as its differential, as authors write it."""
    return {
        "resourceType": "StructureDefinition", "url": HERE + name, "name": name, "status": "draft",
        "fhirVersion": "4.0.1", "kind": "resource", "abstract": False, "type": type, "baseDefinition": BASE + type,
        "derivation": "constraint", "differential": {"element": list(elements)},
    } | told  # fmt: skip


def sliced(*discriminators: tuple[str, str], rules: str = "open", ordered: bool = False) -> dict[str, Any]:
    told = [{"type": kind, "path": path} for kind, path in discriminators]
    return {"slicing": {"discriminator": told, "rules": rules, "ordered": ordered}}


def member(value_set: str, system: str | None, code: str) -> bool | None:
    if value_set.startswith("http://hl7.org/"):
        return True  # R4's own bindings are not what these tests are about
    return code in SETS[value_set] if value_set in SETS else None


def findings(resource: Resource, *profiles: Resource | str, base: bool = False) -> list[Problem]:
    """Against all the profiles given as resources, and the bundled ones given by url."""
    known = {p["url"]: p for p in profiles if not isinstance(p, str)}
    library = Library(lambda url: known.get(url) or bundled.canonical(url))
    wanted = [p if isinstance(p, str) else p["url"] for p in profiles]
    found = conform.check(resource, wanted, library=library, member=member, now=NOW, base=base, claims=False)
    return [p for p in found if "dom-6" not in p.diagnostics]  # a narrative is good style, not a duty


def errors(resource: Resource, *profiles: Resource | str, base: bool = False) -> list[tuple[str, str]]:
    """(place, code) of each error."""
    found = findings(resource, *profiles, base=base)
    return [(p.expression, p.code) for p in found if p.severity == "error"]


def pressure(systolic: Any = 120, **changed: Any) -> Resource:
    """A blood pressure as the R4 profile wants it."""

    def part(code: str, value: Any) -> Resource:
        quantity = {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
        return {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": quantity}

    category = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
    sound = {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [category]}],
        "code": {"coding": [{"system": LOINC, "code": "85354-9"}]},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2026-04-01",
        "component": [part("8480-6", systolic), part("8462-4", 80)],
    }
    return {k: v for k, v in (sound | changed).items() if v is not None}


OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "見本"}}


def observation(**more: Any) -> dict[str, Any]:
    return {k: v for k, v in (OBSERVATION | more).items() if v is not None}


def with_extension(resource: dict[str, Any], *known: dict[str, Any]) -> list[tuple[str, str]]:
    known_by_url = {k["url"]: k for k in known}
    library = Library(lambda url: known_by_url.get(url) or bundled.canonical(url))
    found = conform.check(resource, [], library=library, member=member, now=NOW)
    return [(p.expression, p.code) for p in found if p.severity == "error"]


def by_system(rules: str = "open", *, ordered: bool = False) -> dict[str, Any]:
    return profile(
        "by-system", "Observation",
        element("Observation.identifier", **sliced(("value", "system"), rules=rules, ordered=ordered)),
        element("Observation.identifier:clinic", min=1, max="1"),
        element("Observation.identifier:clinic.system", min=1, fixedUri="http://clinic"),
        element("Observation.identifier:city", min=0, max="1"),
        element("Observation.identifier:city.system", min=1, fixedUri="http://city"),
        element("Observation.identifier:city.value", min=1),
    )  # fmt: skip
