"""What of a birth is the child's own: the minimal copy (G-02). Pure.

A copy is made anew from a closed list of codes and values: no text, note, extension, identifier, link or label of
the mother's resource is taken along. What is not on the list stays the mother's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from phr.records import systems
from phr.records.systems import LOINC, OWN_ITEM

Resource = dict[str, Any]
ANSWER = f"{systems.OWN}/CodeSystem/mch-answer"
AFTER = timedelta(days=28)  # the newborn days

# (system, code): (our item, what it is called). Items about the birth as such are the same for twins.
COMMON = {(LOINC, "11884-4"): ("birth.ga", "分娩時の妊娠日数")}
NEWBORN = {
    (LOINC, "8339-4"): ("child.weight", "出生体重"),
    (LOINC, "89269-5"): ("child.length", "出生身長"),
    (LOINC, "9843-4"): ("child.head", "出生時頭囲"),
    (LOINC, "8279-2"): ("child.chest", "出生時胸囲"),
    (LOINC, "9272-6"): ("child.apgar1", "アプガースコア 1分"),
    (LOINC, "9274-2"): ("child.apgar5", "アプガースコア 5分"),
    (LOINC, "54109-4"): ("nbh.first.r", "新生児聴覚検査 初回 右"),
    (LOINC, "54108-6"): ("nbh.first.l", "新生児聴覚検査 初回 左"),
    (OWN_ITEM, "nbs"): ("nbs", "先天性代謝異常等検査"),
}
MINIMAL = COMMON | NEWBORN
# What a coded or written answer may be
FINDINGS = frozenset({"正常", "異常", "再採血", "要精密検査", "パス", "リファー", "要再検"})
POSITIVE = frozenset({"+", "＋", "(+)", "陽性", "positive", "POS", "10828004"})
HBS_ANTIGEN = (LOINC, "5196-1")
PROPHYLAXIS = {"vitamin-k": "ビタミンK2", "hepatitis-b": "B型肝炎母子感染予防", "eye": "点眼"}
_CATEGORIES = (systems.OBSERVATION_CATEGORY, systems.JP_OBSERVATION_CATEGORY)


def item_of(resource: Mapping[str, Any]) -> tuple[str, str] | None:
    """(item, name) of what the list holds; None = it stays the mother's."""
    if resource.get("resourceType") != "Observation" or resource.get("status") not in ("final", "amended", "corrected"):
        return None
    return next((MINIMAL[key] for key in _codings(resource.get("code")) if key in MINIMAL), None)


def belongs(resource: Mapping[str, Any], born_at: datetime, *, twins: bool) -> bool:
    """Whether it is taken without being named: on the list, from these days, and of twins only what they share."""
    found = item_of(resource)
    if found is None or (twins and found not in COMMON.values()):
        return False
    at = str(resource.get("effectiveDateTime", ""))[:10]
    try:
        day = date.fromisoformat(at)
    except ValueError:
        return False
    return born_at.date() - timedelta(days=1) <= day <= (born_at + AFTER).date()


def copy_of(resource: Mapping[str, Any], child: str) -> Resource | None:
    """The child's Observation or Immunization; None where nothing of it may be taken."""
    if resource.get("resourceType") == "Immunization":
        return _dose(resource, child)
    found, value = item_of(resource), _value(resource)
    if found is None or value is None:
        return None
    item, name = found
    known = [{"system": s, "code": c} for (s, c), told in MINIMAL.items() if told == found and s != OWN_ITEM]
    made = {
        "resourceType": "Observation",
        "status": resource["status"],
        "code": {"coding": [*known, {"system": OWN_ITEM, "code": item}], "text": name},
        "subject": {"reference": f"Patient/{child}"},
        "effectiveDateTime": resource["effectiveDateTime"],
        **value,
    }
    if kinds := [
        {"coding": [{"system": s, "code": c}]} for s, c in _codings(resource.get("category")) if s in _CATEGORIES
    ]:
        made["category"] = kinds
    return made


def own_words(child: str, item: str, name: str, at: str, value: Mapping[str, Any]) -> Resource:
    """An Observation of our own about the child."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": OWN_ITEM, "code": item}], "text": name},
        "subject": {"reference": f"Patient/{child}"},
        "effectiveDateTime": at,
        **value,
    }


def prophylaxis(child: str, at: str, given: Iterable[str], *, indicated: bool) -> list[Resource]:
    """What was given to the child, and that something is indicated: never for which infection of hers."""
    made = [
        own_words(child, f"birth.prophylaxis.{code}", PROPHYLAXIS[code], at, {"valueBoolean": True})
        for code in sorted(set(given))
    ]
    if indicated:
        made.append(own_words(child, "birth.prophylaxis.indicated", "予防処置の適応あり", at, {"valueBoolean": True}))
    return made


def is_positive(resource: Mapping[str, Any]) -> bool:
    """Whether this is a finding of hers for which a newborn gets prophylaxis."""
    if HBS_ANTIGEN not in set(_codings(resource.get("code"))):
        return False
    told = {code for _, code in _codings(resource.get("valueCodeableConcept"))} | {str(resource.get("valueString"))}
    return bool(told & POSITIVE)


def _dose(resource: Mapping[str, Any], child: str) -> Resource | None:
    codes = [{"system": s, "code": c} for s, c in _codings(resource.get("vaccineCode"))]
    if resource.get("status") != "completed" or not codes or "occurrenceDateTime" not in resource:
        return None
    return {
        "resourceType": "Immunization",
        "status": "completed",
        "vaccineCode": {"coding": codes},
        "patient": {"reference": f"Patient/{child}"},
        "occurrenceDateTime": resource["occurrenceDateTime"],
        **({"lotNumber": resource["lotNumber"]} if isinstance(resource.get("lotNumber"), str) else {}),
    }


def _value(resource: Mapping[str, Any]) -> Resource | None:
    quantity = resource.get("valueQuantity")
    if isinstance(quantity, dict):
        return {"valueQuantity": {k: quantity[k] for k in ("value", "unit", "system", "code") if k in quantity}}
    for plain in ("valueInteger", "valueBoolean"):
        if plain in resource:
            return {plain: resource[plain]}
    answers = [c for _, c in _codings(resource.get("valueCodeableConcept"))] + [str(resource.get("valueString"))]
    found = next((one for one in answers if one in FINDINGS), None)
    return None if found is None else {
        "valueCodeableConcept": {"coding": [{"system": ANSWER, "code": found}], "text": found}
    }  # fmt: skip


def _codings(concept: Any) -> list[tuple[str, str]]:
    concepts = concept if isinstance(concept, list) else [concept]
    return [
        (systems.preferred(str(coding.get("system"))), str(coding.get("code")))
        for one in concepts
        if isinstance(one, dict)
        for coding in one.get("coding") or ()
        if isinstance(coding, dict)
    ]
