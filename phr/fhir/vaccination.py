"""A plan of `phr.care.immunizations` as FHIR: ImmunizationRecommendation and ImmunizationEvaluation (R4). Pure.

R4 aims one recommendation at one disease, so a combination is told once for each of its diseases.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from phr.care.courses import Assessed, Next
from phr.care.immunizations import Line, Plan, State
from phr.care.rules import Rules, diseases
from phr.records.systems import CVX, DISEASE_RECEIPT, LOINC, OWN, OWN_DISEASE, OWN_VACCINE

PROFILE = f"{OWN}/StructureDefinition/immunization-recommendation"
STATE_SYSTEM = f"{OWN}/CodeSystem/vaccination-state"
FLAG_SYSTEM = f"{OWN}/CodeSystem/vaccination-remark"
HL7 = "http://terminology.hl7.org/CodeSystem"
# R4's example codes say less; the finer state stands beside them.
HL7_STATE = {
    State.NOT_YET: "due", State.POSSIBLE: "due", State.DUE: "due", State.OVERDUE: "overdue", State.COMPLETE: "complete",
}  # fmt: skip
STATES = {
    State.NOT_YET: "まだ接種できる日になっていません / not yet",
    State.POSSIBLE: "接種できます（標準的な接種期間の前） / possible, before the standard period",
    State.DUE: "接種の時期です / due",
    State.OVERDUE: "標準的な接種期間を過ぎています。まだ接種できます / past the standard period, still possible",
    State.NOT_ADVISED: "今から始めることは勧められていません / beginning now is not advised",
    State.AGED_OUT: "定期接種の期間が終わっています / the legal period is over",
    State.COMPLETE: "完了 / complete",
}
FLAGS = {
    "early-age": "年齢が法定より早い接種 / given before the legal age",
    "early-gap": "間隔が法定より短い接種 / given before the legal gap",
    "late-age": "法定の期間外の接種 / given outside the legal period",
    "live-gap": "注射生ワクチンどうしの間隔が27日未満 / less than 27 days after another injectable live vaccine",
    "product-changed": "途中で製品が変わった / another product than the series began with",
    "product-ended": "定期接種で使われなくなった製品 / a product no longer in the routine programme",
    "extra": "規定の回数を超えた接種 / more doses than the series has",
    "begun-late": "初回が勧められる時期より遅い / begun later than advised",
    "third-needed": "間隔が5か月未満のため3回目が必要 / less than five months apart: a third dose follows",
    "date-imprecise": "接種日が年月日まで分からない / the day is not known exactly",
}
# LOINC, as the draft profile fixes them
EARLIEST, RECOMMENDED, LATEST, OVERDUE = "30981-5", "30980-7", "59777-3", "59778-1"
ASK = (
    "予防接種の表に書かれていることで、指示ではありません。かかりつけ医・市町村に確認してください。"
    "この画面・アプリから見える記録だけで計算しています。"
    "This is what the schedule table says, not an order: ask the doctor or the municipality. "
    "It rests only on the records that can be seen here."
)
NEVER = date(9999, 1, 1)


def recommendation(found: Plan, rules: Rules, *, patient: str, unread: int, now: datetime) -> dict[str, Any]:
    """What may be given next, and what is complete. `recommendation` may be empty: then there is nothing to tell."""
    text = f"{ASK} ({found.rules})"
    if doubtful := unread + len(found.unplaced):
        text += f" 数えられない接種記録: {doubtful} 件 / doses that could not be counted: {doubtful}."
    told = [one for line in found.lines if line.state != State.AGED_OUT for one in _of_line(line, rules)]
    return {
        "resourceType": "ImmunizationRecommendation",
        "meta": {"profile": [PROFILE]},
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{text}</p></div>'},
        "patient": {"reference": f"Patient/{patient}"},
        "date": now.isoformat(timespec="seconds"),
        "recommendation": told,
    }


def _of_line(line: Line, rules: Rules) -> Iterator[dict[str, Any]]:
    for disease in line.diseases:
        told: dict[str, Any] = {
            "vaccineCode": [vaccine_code(id, rules) for id in line.vaccines],
            "targetDisease": disease_code(disease),
            "forecastStatus": _state(line.state),
            "forecastReason": _remarks(line.given),
            "dateCriterion": _dates(line.next) if line.next else [],
            "description": _description(line, rules),
            "series": _series(line, rules),
            "supportingImmunization": [{"reference": g.given.reference} for g in line.given if g.given.reference],
        }
        if line.next:
            told |= {"doseNumberPositiveInt": line.next.number, "seriesDosesPositiveInt": line.next.of}
        yield {name: value for name, value in told.items() if value != []}


def vaccine_code(id: str, rules: Rules) -> dict[str, Any]:
    one = rules.products[id]
    coding = [{"system": OWN_VACCINE, "code": id, "display": one.ja}]
    coding += [{"system": CVX, "code": code} for code in one.cvx[:1]]
    return {"coding": coding, "text": f"{one.ja} / {one.en}"}


def disease_code(id: str) -> dict[str, Any]:
    row = diseases()[id]
    coding = [{"system": OWN_DISEASE, "code": id, "display": row["ja"]}]
    if row["recept_disease_7"]:
        coding.append({"system": DISEASE_RECEIPT, "code": row["recept_disease_7"]})
    return {"coding": coding, "text": row["ja"]}


def _state(state: State) -> dict[str, Any]:
    coding = [{"system": STATE_SYSTEM, "code": str(state)}]
    if state in HL7_STATE:
        coding.append({"system": f"{HL7}/immunization-recommendation-status", "code": HL7_STATE[state]})
    return {"coding": coding, "text": STATES[state]}


def _remarks(given: tuple[Assessed, ...]) -> list[dict[str, Any]]:
    flags = dict.fromkeys(flag for one in given for flag in one.flags)
    return [_flag(flag) for flag in flags]


def _flag(flag: str) -> dict[str, Any]:
    return {"coding": [{"system": FLAG_SYSTEM, "code": flag}], "text": FLAGS[flag]}


def _dates(coming: Next) -> list[dict[str, Any]]:
    days = [(EARLIEST, coming.earliest), (RECOMMENDED, coming.recommended)]
    if coming.last < NEVER:
        days.append((LATEST, coming.last))
    if coming.standard_until:
        days.append((OVERDUE, coming.standard_until))
    return [
        {"code": {"coding": [{"system": LOINC, "code": code}]}, "value": day.isoformat()} for code, day in days
    ]  # fmt: skip


def _description(line: Line, rules: Rules) -> str:
    vaccine = rules.vaccines[line.vaccine]
    if line.next and not line.vaccines and line.state != State.NOT_ADVISED:
        return f"{vaccine.ja}: 使うワクチンは医師・市町村に確認 / which product: ask the doctor or the municipality"
    return f"{vaccine.ja} / {vaccine.en}"


def _series(line: Line, rules: Rules) -> str:
    vaccine = rules.vaccines[line.vaccine]
    if vaccine.voluntary:
        return "任意接種 / voluntary"
    return f"定期接種 {vaccine.law_class}類 / routine, class {vaccine.law_class}"


def evaluations(found: Plan, rules: Rules, *, patient: str) -> list[dict[str, Any]]:
    """What each dose came to, disease by disease, in order of time."""
    given = sorted(
        (one for line in found.lines for one in line.given if one.given.reference),
        key=lambda one: (one.given.on, one.given.reference, one.vaccine),
    )
    return [_evaluation(one, disease, found, rules, patient) for one in given for disease in one.diseases]


def _evaluation(one: Assessed, disease: str, found: Plan, rules: Rules, patient: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "resourceType": "ImmunizationEvaluation",
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{ASK}</p></div>'},
        "status": "completed",
        "patient": {"reference": f"Patient/{patient}"},
        "date": found.day.isoformat(),
        "targetDisease": disease_code(disease),
        "immunizationEvent": {"reference": one.given.reference},
        "doseStatus": {
            "coding": [
                {
                    "system": f"{HL7}/immunization-evaluation-dose-status",
                    "code": "notvalid" if one.doubtful else "valid",
                }
            ],
            "text": "要確認（医師・市町村） / to be confirmed" if one.doubtful else "有効 / valid",
        },
        "doseStatusReason": [_flag(flag) for flag in one.flags],
        "description": f"{rules.vaccines[one.vaccine].ja} / {rules.vaccines[one.vaccine].en}",
        "doseNumberPositiveInt": one.number,
    }
    return {name: value for name, value in told.items() if value != []}
