"""医科: diagnoses that were claimed, drugs that the clinic itself gave out, operations, examinations, images. Pure.

Of examinations a receipt says that they were charged, never what they found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TypeAlias

from integrations.medicines import per_day, quantity, shortened
from integrations.receipts.rows import Row, amount, when
from integrations.receipts.shapes import Making, Resource, drug
from integrations.receipts.wording import say
from integrations.same_dispense import Dispensed, loose_keys
from phr.records import systems

JP_EXTENSION = "http://jpfhir.jp/fhir/core/Extension/StructureDefinition"
MODIFIER = "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/masterZ-disease-modifier"
OUTCOME = "http://jpfhir.jp/fhir/core/CodeSystem/JP_ConditionDiseaseOutcomeReceipt_CS"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"

UNCODED = "0000999"
SUSPECTED = "8002"  # 修飾語 の疑い
_OUTCOMES = {"1": ("継続", "active"), "2": ("治ゆ", "resolved"), "3": ("死亡", "inactive"), "4": ("中止", "inactive")}
ORAL, AS_NEEDED, EXTERNAL = "21", "22", "23"
_PROCEDURES = ("50", "60", "70")
_FREE_TEXT = "810000001"


# Diagnoses


def diagnoses(making: Making, rows: Sequence[Row]) -> None:
    """SY → Condition, provisional. A suspicion (疑い) justifies an examination: no diagnosis is made of it."""
    suspected = 0
    for row in rows:
        if row.record != "SY":
            continue
        if _is_suspected(making, row):
            suspected += 1
        elif not making.get(row, "傷病名コード") and not making.get(row, "傷病名称"):
            making.problems.append(say("no-drug-code", line=row.line, field=1))
        else:
            making.resources.append(_condition(making, row))
    if suspected:
        making.problems.append(say("suspected-left-out", count=suspected))


def _modifiers(making: Making, row: Row) -> list[str]:
    text = making.get(row, "修飾語コード")
    return [text[place : place + 4] for place in range(0, len(text) - 3, 4)]


def _is_suspected(making: Making, row: Row) -> bool:
    words = making.get(row, "傷病名称") + making.get(row, "補足コメント")
    return SUSPECTED in _modifiers(making, row) or "疑" in words


def _condition(making: Making, row: Row) -> Resource:
    code, name, onset = making.get(row, "傷病名コード"), making.get(row, "傷病名称"), making.get(row, "診療開始日")
    made = making.begin("Condition", "SY", code, name if code == UNCODED else "", onset,
                        profile="JP_Condition_Diagnosis")  # fmt: skip
    outcome, clinical = _OUTCOMES.get(making.get(row, "転帰区分"), ("", ""))
    if outcome:
        coding = {"system": OUTCOME, "code": making.get(row, "転帰区分"), "display": outcome}
        concept = {"coding": [coding], "text": outcome}
        made["extension"] = [{"url": f"{JP_EXTENSION}/JP_Condition_DiseaseOutcome", "valueCodeableConcept": concept}]
        made["clinicalStatus"] = _status("condition-clinical", clinical)
    made["verificationStatus"] = _status("condition-ver-status", "provisional")
    text = "レセプト病名" + ("（主傷病）" if making.get(row, "主傷病") == "01" else "")
    made["category"] = [_status("condition-category", "encounter-diagnosis") | {"text": text}]
    made["code"] = _disease(making, row, code, name)
    made["subject"] = making.patient
    if started := when(onset):
        made["onsetDateTime"] = started
    if note := making.get(row, "補足コメント"):
        made["note"] = [{"text": note}]
    return made


def _status(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"{_TERMINOLOGY}/{system}", "code": code}]}


def _disease(making: Making, row: Row, code: str, name: str) -> Resource:
    """Code with its modifiers: codes 8xxx follow the name (接尾語), the others come before it."""
    known = making.masters.diseases.get(code)
    modifiers = _modifiers(making, row)
    concept: Resource = {}
    if modifiers:
        concept["extension"] = [_modifier(making, modifier) for modifier in modifiers]
    if code and code != UNCODED:
        coding = {"system": systems.DISEASE_RECEIPT, "code": code}
        concept["coding"] = [coding | ({"display": known.name} if known else {})]
        if known and known.icd10:
            concept["coding"].append({"system": systems.ICD10_JP, "code": known.icd10})
    return concept | {"text": name or _named(making, code, modifiers)}


def _named(making: Making, code: str, modifiers: Sequence[str]) -> str:
    """The whole name by the masters; else the code."""
    known = making.masters.diseases.get(code)
    words = [making.masters.modifiers.get(m, "") for m in modifiers]
    if known is None or not all(words):
        return f"傷病名コード {code}" + (f" 修飾語 {' '.join(modifiers)}" if modifiers else "")
    before = "".join(w for m, w in zip(modifiers, words, strict=True) if not m.startswith("8"))
    return before + known.name + "".join(w for m, w in zip(modifiers, words, strict=True) if m.startswith("8"))


def _modifier(making: Making, code: str) -> Resource:
    place = "DiseasePostfixModifier" if code.startswith("8") else "DiseasePrefixModifier"
    coding = {"system": MODIFIER, "code": code}
    if name := making.masters.modifiers.get(code):
        coding["display"] = name
    return {"url": f"{JP_EXTENSION}/JP_Condition_{place}", "valueCodeableConcept": {"coding": [coding]}}


# What was charged, by day


@dataclass(slots=True)
class _Charged:
    """One SI or IY with what its group and unit say. `kind`: 診療識別; `days`: (day of month, count)."""

    row: Row
    kind: str
    comments: list[str]
    days: list[tuple[int, Decimal]] = field(default_factory=list)


_Make: TypeAlias = Callable[[Making, _Charged, str, str, Decimal], Resource]


def charged(making: Making, rows: Sequence[Row]) -> None:
    """SI and IY → MedicationStatement (21–23) and Procedure (50, 60, 70), for each day that is marked."""
    for one in _charges(making, rows):
        if one.row.record == "IY" and one.kind in (ORAL, AS_NEEDED, EXTERNAL):
            _each_day(making, one, "医薬品コード", _statement)
        elif one.row.record == "SI" and one.kind in _PROCEDURES:
            _each_day(making, one, "診療行為コード", _procedure)


def _charges(making: Making, rows: Sequence[Row]) -> Iterator[_Charged]:
    """Group by 診療識別 (said only on the first record of a group), unit by the 点数 (said only on its last)."""
    kind, comments, unit = "", list[str](), list[_Charged]()
    for row in rows:
        if row.record not in ("SI", "IY", "TO", "CO"):
            continue
        if stated := making.get(row, "診療識別"):
            yield from _closed(unit)
            kind, comments, unit = stated, [], []
        if row.record == "CO":
            if making.get(row, "コメントコード") == _FREE_TEXT and making.get(row, "文字データ"):
                comments.append(making.get(row, "文字データ"))
            continue
        unit.append(_Charged(row, kind, comments, _marked(making, row)))
        if making.get(row, "点数"):
            yield from _closed(unit)
            unit = []
    yield from _closed(unit)


def _closed(unit: list[_Charged]) -> list[_Charged]:
    """Of a unit, days that are marked on its last record only are those of all."""
    for one in unit:
        one.days = one.days or unit[-1].days
    return unit


def _marked(making: Making, row: Row) -> list[tuple[int, Decimal]]:
    counts = ((day, amount(text)) for day, text in enumerate(row.all("算定日", making.form), start=1))
    return [(day, count) for day, count in counts if count]


def _each_day(making: Making, one: _Charged, code_name: str, make: _Make) -> None:
    code = making.get(one.row, code_name)
    if not (code.isascii() and code.isalnum()):
        making.problems.append(say("no-drug-code", line=one.row.line, field=3))
        return
    if not one.days:  # files of before 2012 mark no days: the month is what is known
        making.resources.append(make(making, one, code, making.month, Decimal(1)))
    for day, count in one.days:
        if day > making.last_day().day:
            making.problems.append(say("no-such-day", line=one.row.line))
            continue
        making.resources.append(make(making, one, code, f"{making.month}-{day:02}", count))


def _statement(making: Making, one: _Charged, code: str, on: str, count: Decimal) -> Resource:
    """A drug the clinic gave out. 21: amount per day, `count` days; 22: per time, `count` times; 23: per unit."""
    dose = amount(making.get(one.row, "使用量"))
    if dose is None and making.get(one.row, "使用量"):
        making.problems.append(say("bad-amount", line=one.row.line, field=4))
    concept, name, codes, unit = drug(making, code)
    made = making.begin("MedicationStatement", "IY", code, on, profile="JP_MedicationStatement" if unit else "")
    total = shortened(dose * count) if dose and len(on) == 10 else None
    words = Dispensed(
        person=str(making.about.subject), day=on, pharmacy=making.about.code, rp="", order=0, name=name, code=code,
        dose="", number="", total=total, codes=codes,
    )  # fmt: skip
    if keys := loose_keys(words):
        made["identifier"] = [{"system": systems.DISPENSE_LOOSE_KEY, "value": key} for key in keys]
    made |= {"status": "unknown", "medicationCodeableConcept": concept, "subject": making.patient}
    made |= _taken(one.kind, on, count)
    made["informationSource"] = making.institution
    if dosage := _dosage(one, dose, unit):
        made["dosage"] = [dosage]
    if total is not None:
        made["note"] = [{"text": f"支給量 {total}{unit}"}]
    return made


def _taken(kind: str, on: str, count: Decimal) -> Resource:
    """When: the days it was given for (内服), else the day (or month) it was given."""
    if kind == ORAL and len(on) == 10 and on < "9900" and count < 400:
        last = date.fromisoformat(on) + timedelta(days=max(int(count), 1) - 1)
        return {"effectivePeriod": {"start": on, "end": last.isoformat()}}
    return {"effectiveDateTime": on}


def _dosage(one: _Charged, dose: Decimal | None, unit: str) -> Resource:
    dosage: Resource = {"text": " ".join(one.comments)} if one.comments else {}
    if one.kind == AS_NEEDED:
        dosage["asNeededBoolean"] = True
    if dose and one.kind == ORAL:
        dosage["doseAndRate"] = [per_day(dose, unit)]
    elif dose and one.kind == AS_NEEDED:
        dosage["doseAndRate"] = [{"doseQuantity": quantity(dose, unit)}]
    return dosage


def _procedure(making: Making, one: _Charged, code: str, on: str, count: Decimal) -> Resource:
    """That it was charged on this day; what came of it a receipt does not say."""
    name = making.masters.procedures.get(code, "")
    made = making.begin("Procedure", "SI", code, on)
    coding = {"system": systems.RECEIPT_PROCEDURE, "code": code} | ({"display": name} if name else {})
    return made | {
        "status": "completed",
        "code": {"coding": [coding], "text": name or f"診療行為コード {code}"},
        "subject": making.patient,
        "performedDateTime": on,
        "performer": [{"actor": making.institution}],
    }
