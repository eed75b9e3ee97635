"""MedicationDispenses → dispensing groups of a notebook: records 5, 11, 15, 51, 55, 201, 281, 291, 301. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from integrations.same_dispense import words_of
from phr.records import systems

Resource = Mapping[str, Any]
Line = tuple[str, ...]

_KINDS = {
    systems.YJ: "4", systems.MHLW_DRUG: "3", systems.RECEIPT_DRUG: "2", systems.HOT9: "6", systems.HOT13: "6",
}  # fmt: skip
_BY = "1"  # 作成者: 医療関係者


@dataclass(frozen=True, slots=True)
class Remark:
    """A line of a group, of a day (YYYYMMDD). `bound`: it has no date but that of its group."""

    day: str
    line: Line
    bound: bool


@dataclass(slots=True)
class _Visit:
    """One record 5 with what stands below it."""

    head: tuple[Line, ...]
    drugs: list[Resource] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def rows(dispensed: Sequence[Resource], remarks: Sequence[Remark], places: Mapping[str, Resource]) -> Iterator[Line]:
    """The groups, newest first; remarks in a group of their day."""
    visits: dict[tuple[Line, ...], _Visit] = {}
    for drug in dispensed:
        if head := _head(drug, places):
            visits.setdefault(head, _Visit(head)).drugs.append(drug)
    days = {visit.head[0][1]: visit for visit in reversed(list(visits.values()))}
    for remark in remarks:
        day = remark.day if remark.bound or remark.day in days else max(days, default=remark.day)
        if day not in days and day:
            made = _Visit((("5", day, _BY),))
            days[day] = visits.setdefault(made.head, made)
        if day:
            days[day].remarks.append(remark)
    for visit in sorted(visits.values(), key=lambda v: v.head[0][1], reverse=True):
        yield from visit.head
        yield from _drugs(visit.drugs)
        yield from (remark.line for remark in visit.remarks)


def _head(drug: Resource, places: Mapping[str, Resource]) -> tuple[Line, ...]:
    """Day, pharmacy, pharmacist, clinic; empty where no day is said."""
    told = drug.get("whenHandedOver") or drug.get("whenPrepared") or ""
    if len(told) < 10:
        return ()
    lines: list[Line] = [("5", told[:10].replace("-", ""), _BY)]
    actors = [p.get("actor", {}) for p in drug.get("performer", ())]
    people = [a for a in actors if a.get("type") == "Practitioner"]
    offices = [a for a in actors if a not in people]
    if offices and (office := _office(offices[0], places)):
        lines.append(("11", *office, "", "", "", _BY))
    if people and people[0].get("display"):
        lines.append(("15", people[0]["display"], "", _BY))
    words = words_of(drug)
    if words.get("clinic"):
        lines.append(("51", words["clinic"], *_split(words.get("clinic-code", "")), _BY))
    elif not words and (asked := _asked(drug)):
        lines.append(("51", asked, "", "", "", _BY))
    return tuple(lines)


def _office(actor: Resource, places: Mapping[str, Resource]) -> Line | None:
    """Name and number of an institution, of its own resource where it has one."""
    place = places.get(actor.get("reference", ""), {})
    numbers = [*place.get("identifier", ()), actor.get("identifier", {})]
    code = next((n.get("value", "") for n in numbers if n.get("system") == systems.INSTITUTION_10), "")
    name = place.get("name") or actor.get("display") or ""
    return (name, *_split(code)) if name or code else None


def _split(code: str) -> Line:
    return (code[:2], code[2], code[3:]) if len(code) == 10 else ("", "", "")


def _asked(drug: Resource) -> str:
    return next((a["display"] for a in drug.get("authorizingPrescription", ()) if a.get("display")), "")


def _drugs(drugs: Sequence[Resource]) -> Iterator[Line]:
    """Each doctor's RPs: the drugs of one RP by their order, then the usage they share."""
    by_doctor: dict[Line, list[Resource]] = {}
    for drug in drugs:
        words = words_of(drug)
        by_doctor.setdefault((words.get("doctor", ""), words.get("department", "")), []).append(drug)
    taken: dict[str, Line] = {}
    for doctor in sorted(by_doctor, key=any):  # those without a doctor before the first 55
        if any(doctor):
            yield "55", *doctor, _BY
        for rp, usage, of_rp in _prescriptions(by_doctor[doctor], taken):
            for drug in of_rp:
                yield from _drug(rp, drug)
            yield "301", rp, *usage, _BY


def _prescriptions(drugs: Sequence[Resource], taken: dict[str, Line]) -> Iterator[tuple[str, Line, list[Resource]]]:
    """(RP number, usage, drugs): a number that another usage has already gets a new one."""
    found: dict[tuple[str, Line], list[Resource]] = {}
    for drug in drugs:
        found.setdefault((_number(drug, systems.RP_NUMBER), _usage(drug)), []).append(drug)
    for (number, usage), of_rp in sorted(found.items(), key=lambda item: (len(item[0][0]), item[0])):
        rp = number if number and number not in taken else _free(taken)
        taken[rp] = usage
        yield rp, usage, sorted(of_rp, key=lambda d: (len(order := _number(d, systems.ORDER_IN_RP)), order))


def _free(taken: Mapping[str, Line]) -> str:
    return next(str(n) for n in range(1, 100_000) if str(n) not in taken)


def _number(drug: Resource, system: str) -> str:
    return next((i.get("value", "") for i in drug.get("identifier", ()) if i.get("system") == system), "")


def _usage(drug: Resource) -> Line:
    """301 behind its RP number: name, number, unit, 剤形, 用法コード種別, 用法コード."""
    words, dosage = words_of(drug), _first(drug, "dosageInstruction")
    text = dosage.get("text", "")
    if words:
        return (text, *(words.get(word, "") for word in ("number", "number-unit", "form", "usage-kind", "usage")))
    form = _form(drug, dosage)
    codings = dosage.get("timing", {}).get("code", {}).get("coding", ())
    code = next((c.get("code", "") for c in codings if c.get("system") == systems.USAGE), "")
    return text, _times(drug, form), _UNITS.get(form, "調剤"), form, "2" if code else "1", code


_UNITS = {"1": "日分", "6": "日分", "7": "日分", "3": "回分"}


def _form(drug: Resource, dosage: Resource) -> str:
    """剤形 as far as FHIR says: by day 内服, as needed 屯服, else その他 (of which the whole amount is told)."""
    if "daysSupply" in drug and _rate(dosage):
        return "1"
    return "3" if dosage.get("asNeededBoolean") and _rate(dosage) else "10"


def _first(resource: Resource, name: str) -> Resource:
    return next(iter(resource.get(name, ())), {})


def _rate(dosage: Resource) -> Resource:
    """The amount of a day or of a time."""
    rate = _first(dosage, "doseAndRate")
    found: Resource = rate.get("rateRatio", {}).get("numerator") or rate.get("doseQuantity") or {}
    return found


def _times(drug: Resource, form: str) -> str:
    if form == "1":
        return _plain(drug["daysSupply"].get("value", ""))
    if form == "3":
        dosage = drug["dosageInstruction"][0]
        whole, one = drug.get("quantity", {}).get("value"), _rate(dosage).get("value")
        return _plain(whole / one) if whole and one and whole % one == 0 else ""
    return "1"


def _plain(value: object) -> str:
    text = f"{value:f}" if hasattr(value, "as_tuple") else str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _drug(rp: str, drug: Resource) -> Iterator[Line]:
    """201 with its 281 and 291."""
    words, dosage = words_of(drug), _first(drug, "dosageInstruction")
    concept = drug.get("medicationCodeableConcept", {})
    codings = [c for c in concept.get("coding", ()) if c.get("code")]
    known = next(((kind, c["code"]) for system, kind in _KINDS.items() for c in codings if c.get("system") == system),
                 ("1", ""))  # fmt: skip
    kind, code = (words.get("code-kind", ""), words.get("code", "")) if words else known
    name = concept.get("text") or next((c["display"] for c in codings if c.get("display")), code)
    amount = drug.get("quantity", {}) if _usage(drug)[3] == "10" else _rate(dosage)
    dose = words.get("dose", "") if words else _plain(amount.get("value", ""))
    unit = words.get("unit", "") if words else amount.get("unit") or amount.get("code") or ""
    yield "201", rp, name, dose, unit, kind, code, _BY, *_generic(codings)
    for text in dosage.get("additionalInstruction", ()):
        if text.get("text"):
            yield "281", rp, text["text"], _BY
    if dosage.get("patientInstruction"):
        yield "291", rp, dosage["patientInstruction"], _BY


def _generic(codings: Sequence[Resource]) -> Line:
    found = next((c for c in codings if c.get("system") == systems.GENERIC_ORDER), None)
    return (found.get("display", ""), "2", found["code"]) if found else ()
