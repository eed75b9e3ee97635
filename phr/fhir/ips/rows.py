"""The lines of each section's table: what a clinician has to see of each resource. Pure.

A cell is text, escaped later. `Row` functions get the resource and a way to read what it refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from phr.fhir.ips import pregnancy
from phr.fhir.ips.wording import (
    both,
    code_of,
    concept,
    displayed,
    quantity,
    reference_range,
    result,
    stated,
    when,
)

Resource = Mapping[str, Any]
Read = Callable[[Resource, object], Resource]  # (the resource, one of its References) -> what it refers to, or {}
Row = Callable[[Resource, Read], list[str]]


def _list(texts: Iterable[str]) -> str:
    return "; ".join(text for text in texts if text)


def _notes(resource: Resource) -> str:
    return _list(str(note.get("text", "")) for note in resource.get("note", ()))


def _verified(resource: Resource) -> str:
    return _list(stated(code_of(resource.get(name))) for name in ("clinicalStatus", "verificationStatus"))


def problem(resource: Resource, read: Read) -> list[str]:
    state = _verified(resource)
    ended = when(resource, "abatement")
    since = when(resource, "onset") or when(resource, "recorded")
    return [concept(resource.get("code")), state, _list([since, ended and f"→ {ended}"]), _notes(resource)]


def allergy(resource: Resource, read: Read) -> list[str]:
    kind = _list([stated(resource.get("type")), *(stated(c) for c in resource.get("category", ()))])
    state = _verified(resource)
    return [
        concept(resource.get("code")), kind, stated(resource.get("criticality")),
        _list(map(_reaction, _reactions(resource))), state, when(resource, "onset") or when(resource, "recorded"),
    ]  # fmt: skip


def _reactions(resource: Resource) -> Iterable[Resource]:
    return resource.get("reaction", ())  # type: ignore[no-any-return]


def _reaction(reaction: Resource) -> str:
    shown = _list(concept(m) for m in reaction.get("manifestation", ()))
    severity = stated(reaction.get("severity"))
    return f"{shown} ({severity})" if severity else shown


def medicine(resource: Resource, read: Read) -> list[str]:
    code = resource.get("medicationCodeableConcept")
    name = concept(code or read(resource, resource.get("medicationReference")).get("code"))
    name = name or displayed(resource.get("medicationReference"))
    dosages = resource.get("dosage") or resource.get("dosageInstruction") or ()
    amount = [quantity(resource.get("quantity", {})), quantity(resource.get("daysSupply", {}))]
    source = {"MedicationDispense": ("調剤", "dispensed"), "MedicationRequest": ("処方", "prescribed")}.get(
        resource["resourceType"], ("服用の記録", "stated")
    )
    day = when(resource, "effective", "whenHandedOver", "whenPrepared", "authoredOn", "dateAsserted")
    return [
        name,
        _list(map(_dosage, dosages)),
        _list(amount),
        _list([both(*source), stated(resource.get("status"))]),
        day,
    ]


def _dosage(dosage: Resource) -> str:
    if text := dosage.get("text"):
        return str(text)
    doses = [quantity(rate["doseQuantity"]) for rate in dosage.get("doseAndRate", ()) if "doseQuantity" in rate]
    return _list([*doses, concept(dosage.get("timing", {}).get("code")), concept(dosage.get("route"))])


def immunization(resource: Resource, read: Read) -> list[str]:
    doses = [str(p.get("doseNumberPositiveInt") or p.get("doseNumberString") or "") for p in _protocols(resource)]
    against = _list(concept(d) for p in _protocols(resource) for d in p.get("targetDisease", ()))
    place = _list(displayed(p.get("actor")) for p in resource.get("performer", ()))
    state = "" if resource.get("status") == "completed" else stated(resource.get("status"))
    why = concept(resource.get("statusReason"))
    return [
        when(resource, "occurrence"), concept(resource.get("vaccineCode")), against, _list(doses),
        str(resource.get("lotNumber", "")), place, _list([state, why]),
    ]  # fmt: skip


def _protocols(resource: Resource) -> list[Resource]:
    return list(resource.get("protocolApplied", ()))


def procedure(resource: Resource, read: Read) -> list[str]:
    return [
        when(resource, "performed"),
        concept(resource.get("code")),
        stated(resource.get("status")),
        _notes(resource),
    ]


def device(resource: Resource, read: Read) -> list[str]:
    used = read(resource, resource.get("device"))
    names = _list(str(n.get("name", "")) for n in used.get("deviceName", ()))
    name = names or concept(used.get("type")) or displayed(resource.get("device"))
    return [
        name,
        concept(resource.get("bodySite")),
        stated(resource.get("status")),
        when(resource, "timing", "recordedOn"),
    ]


def observation(resource: Resource, read: Read) -> list[str]:
    day = when(resource, "effective", "issued")
    if resource["resourceType"] == "DiagnosticReport":
        codes = (concept(c) for c in resource.get("conclusionCode", ()))
        state = "" if resource.get("status") == "final" else f"[{stated(resource.get('status'))}]"
        said = _list([str(resource.get("conclusion", "")), *codes, state])
        return [day, concept(resource.get("code")), said, ""]
    said = _list([pregnancy.gestation(resource), result(resource)])
    return [day, concept(resource.get("code")), said, reference_range(resource)]


def pregnant(resource: Resource, read: Read) -> list[str]:
    return observation(resource, read)[:3]


def plan(resource: Resource, read: Read) -> list[str]:
    title = str(resource.get("title") or "") or _list(concept(c) for c in resource.get("category", ()))
    day = when(resource, "period", "created")
    return [title, str(resource.get("description", "")), stated(resource.get("status")), day]


def alert(resource: Resource, read: Read) -> list[str]:
    return [concept(resource.get("code")), when(resource, "period")]
