"""Values, codes and dates of resources as a reader sees them: Japanese first, then English. Pure.

Nothing is escaped yet. What cannot be read is said to be so; nothing is guessed or rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from phr.records.systems import CVX, LOINC, OWN_ORIGIN, SELF_MEASURED

JAPAN = timezone(timedelta(hours=9))
Resource = Mapping[str, Any]

# What the codes of pregnancy, growth and vital signs are called in English (LOINC 2.7x, shortened).
ENGLISH = {
    "29463-7": "Body weight", "8302-2": "Body height", "8306-3": "Body length", "9843-4": "Head circumference",
    "85354-9": "Blood pressure", "8480-6": "Systolic", "8462-4": "Diastolic", "8310-5": "Body temperature",
    "8867-4": "Heart rate", "9279-1": "Respiratory rate", "59408-5": "Oxygen saturation", "39156-5": "BMI",
    "56077-1": "Body weight before pregnancy", "8339-4": "Birth weight", "89269-5": "Body length at birth",
    "8279-2": "Chest circumference", "82810-3": "Pregnancy status", "11778-8": "Expected delivery date",
    "11779-6": "Expected delivery date (from last menstrual period)",
    "11780-4": "Expected delivery date (from ultrasound)", "8665-2": "Last menstrual period, first day",
    "11996-6": "Pregnancies", "11977-6": "Parity", "11878-6": "Number of fetuses", "18185-9": "Gestational age",
    "11884-4": "Gestational age at birth", "73762-7": "Mode of delivery", "11636-8": "Live births",
    "11637-6": "Preterm births", "11638-4": "Living children", "11639-2": "Term births", "11640-0": "Total births",
    "11612-9": "Abortions", "11613-7": "Induced abortions", "11614-5": "Spontaneous abortions",
    "33065-4": "Ectopic pregnancies", "9272-6": "Apgar score, 1 min", "9274-2": "Apgar score, 5 min",
    "883-9": "Blood group ABO", "10331-7": "Blood group Rh", "890-4": "Irregular antibodies", "718-7": "Haemoglobin",
    "4544-3": "Haematocrit", "777-3": "Platelets", "6690-2": "Leukocytes", "2345-7": "Glucose",
    "20454-5": "Urine protein", "25428-4": "Urine glucose", "72166-2": "Tobacco smoking status",
    "74013-4": "Alcoholic drinks per day", "11881-0": "Fundal height", "55283-6": "Fetal heart rate",
    "72155-5": "Fetal presentation", "11727-5": "Estimated fetal weight", "45700-2": "Oedema",
    "54109-4": "Newborn hearing, right", "54108-6": "Newborn hearing, left",
}  # fmt: skip
# Vaccines in English (CVX).
VACCINES = {
    "04": "measles, rubella", "07": "mumps", "08": "hepatitis B", "19": "BCG", "21": "varicella", "28": "DT",
    "48": "Hib", "62": "HPV, quadrivalent", "88": "influenza", "116": "rotavirus, pentavalent",
    "118": "HPV, bivalent", "119": "rotavirus, monovalent", "120": "DTaP-Hib-IPV", "129": "Japanese encephalitis",
    "130": "DTaP-IPV", "133": "pneumococcal conjugate, 13-valent", "165": "HPV, 9-valent",
    "215": "pneumococcal conjugate, 15-valent", "216": "pneumococcal conjugate, 20-valent", "305": "RSV, bivalent",
}  # fmt: skip
NAMED = {LOINC: ENGLISH, CVX: VACCINES}
# Codes of the standard's own systems: code -> Japanese, English
STATED = {
    "active": ("現在あり", "active"), "recurrence": ("再発", "recurrence"), "relapse": ("再燃", "relapse"),
    "inactive": ("現在なし", "inactive"), "remission": ("寛解", "remission"), "resolved": ("治癒", "resolved"),
    "unconfirmed": ("未確認", "unconfirmed"), "provisional": ("暫定", "provisional"),
    "differential": ("鑑別中", "differential"), "confirmed": ("確認済み", "confirmed"),
    "presumed": ("推定", "presumed"),
    "low": ("低", "low"), "high": ("高", "high"), "unable-to-assess": ("判定不能", "unable to assess"),
    "mild": ("軽度", "mild"), "moderate": ("中等度", "moderate"), "severe": ("重度", "severe"),
    "allergy": ("アレルギー", "allergy"), "intolerance": ("不耐性", "intolerance"),
    "food": ("食物", "food"), "medication": ("薬剤", "medication"), "environment": ("環境", "environment"),
    "biologic": ("生物学的製剤", "biologic"), "completed": ("完了", "completed"), "not-done": ("未実施", "not done"),
    "in-progress": ("実施中", "in progress"), "preparation": ("準備中", "preparation"), "on-hold": ("中断", "on hold"),
    "stopped": ("中止", "stopped"), "intended": ("予定", "intended"), "draft": ("下書き", "draft"),
    "preliminary": ("速報", "preliminary"), "registered": ("登録のみ", "registered"), "partial": ("一部", "partial"),
    "amended": ("修正", "amended"), "corrected": ("訂正", "corrected"), "appended": ("追記", "appended"),
    "not-taken": ("服用せず", "not taken"), "unknown": ("不明", "unknown"),
}  # fmt: skip
INTERPRETED = {
    "H": ("高値", "high"), "L": ("低値", "low"), "HH": ("異常高値", "critically high"),
    "LL": ("異常低値", "critically low"), "A": ("異常", "abnormal"), "AA": ("異常 (緊急)", "critically abnormal"),
    "N": ("正常", "normal"), "POS": ("陽性", "positive"), "NEG": ("陰性", "negative"),
}  # fmt: skip


def both(japanese: str, english: str) -> str:
    return f"{japanese} / {english}"


def stated(code: object) -> str:
    """A status or another code of the standard's own."""
    return both(*STATED[code]) if isinstance(code, str) and code in STATED else str(code or "")


def codings(concept: object) -> list[Resource]:
    return list(concept.get("coding", ())) if isinstance(concept, Mapping) else []


def code_of(concept: object) -> str:
    """The first code of a concept in one of the standard's own systems."""
    return next((str(c["code"]) for c in codings(concept) if "code" in c), "")


def concept(value: object) -> str:
    """What a CodeableConcept is called: its text, else a display, else the code itself; the English name behind it."""
    if not isinstance(value, Mapping):
        return ""
    displays = [str(c["display"]) for c in codings(value) if c.get("display")]
    name = str(value.get("text") or next(iter(displays), ""))
    known = (NAMED.get(c.get("system", ""), {}).get(c.get("code", ""), "") for c in codings(value))
    english = next(filter(None, known), "")
    english = english or next((d for d in displays if d.isascii()), "")
    if not name:
        name = english or next((f"{c['code']} ({c.get('system', '-')})" for c in codings(value) if "code" in c), "")
    return both(name, english) if english and english != name else name


def quantity(value: Resource) -> str:
    """A Quantity, digit by digit as it was written, with its unit."""
    number = value.get("value")
    if number is None:
        return ""
    digits = format(number, "f") if isinstance(number, Decimal) else str(number)
    unit = value.get("unit") or value.get("code") or ""
    return f"{value.get('comparator', '')}{digits}{' ' if unit else ''}{unit}"


def moment(text: object) -> str:
    """A date as it is; a time with zone as the clock in Japan shows it."""
    if not isinstance(text, str) or "T" not in text:
        return str(text or "")
    try:
        at = datetime.fromisoformat(text).astimezone(JAPAN)
    except (ValueError, OverflowError):
        return text
    return at.strftime("%Y-%m-%d %H:%M")


def period(value: Resource) -> str:
    start, end = moment(value.get("start")), moment(value.get("end"))
    return f"{start} – {end}" if start or end else ""


def when(resource: Resource, *stems: str) -> str:
    """The first of these elements that says when, whatever type it has."""
    for stem in stems:
        for suffix in ("", "DateTime", "Date", "Instant"):
            if found := moment(resource.get(f"{stem}{suffix}")):
                return found
        for suffix in ("", "Period"):
            spread = resource.get(f"{stem}{suffix}")
            if isinstance(spread, Mapping) and (span := period(spread)):
                return span
        if isinstance(age := resource.get(f"{stem}Age"), Mapping):
            return f"{quantity(age)} (年齢 / age)"
        if isinstance(text := resource.get(f"{stem}String"), str):
            return text
    return ""


def value(node: Resource) -> str:
    """The value of an Observation or of one of its components; why there is none, where that is said."""
    for key, found in node.items():
        if key.startswith("value"):
            return _one(key.removeprefix("value"), found)
    if absent := concept(node.get("dataAbsentReason")):
        return f"値なし / no value: {absent}"
    return ""


def _one(kind: str, found: Any) -> str:
    match kind:
        case "Quantity":
            return quantity(found)
        case "CodeableConcept":
            return concept(found)
        case "Boolean":
            return both("はい", "yes") if found else both("いいえ", "no")
        case "DateTime":
            return moment(found)
        case "Period":
            return period(found)
        case "Range":
            return f"{quantity(found.get('low', {}))} – {quantity(found.get('high', {}))}"
        case "Ratio":
            return f"{quantity(found.get('numerator', {}))} : {quantity(found.get('denominator', {}))}"
        case "SampledData":
            return both("波形データ", "sampled data")
    return str(found)


def result(observation: Resource) -> str:
    """Value, components, interpretation and status of an Observation in one cell."""
    parts = [value(observation)]
    parts += [f"{concept(c.get('code'))}: {value(c)}" for c in observation.get("component", ())]
    parts += [both(*INTERPRETED[code]) if code in INTERPRETED else text for code, text in _interpretations(observation)]
    status = observation.get("status")
    if status not in ("final", None):
        parts.append(f"[{stated(status)}]")
    if at_home(observation):
        parts.append(f"[{both('家庭測定', 'measured at home')}]")
    return "; ".join(part for part in parts if part)


def _interpretations(observation: Resource) -> Iterable[tuple[str, str]]:
    return ((code_of(c), concept(c)) for c in observation.get("interpretation", ()))


def at_home(resource: Resource) -> bool:
    tags = resource.get("meta", {}).get("tag", ())
    return any(t.get("system") == OWN_ORIGIN and t.get("code") == SELF_MEASURED for t in tags)


def reference_range(observation: Resource) -> str:
    return "; ".join(filter(None, map(_range, observation.get("referenceRange", ()))))


def _range(found: Resource) -> str:
    if text := found.get("text"):
        return str(text)
    low, high = quantity(found.get("low", {})), quantity(found.get("high", {}))
    return f"{low} – {high}" if low or high else ""


def displayed(reference: object) -> str:
    return str(reference.get("display", "")) if isinstance(reference, Mapping) else ""


def names(patient: Resource) -> str:
    """Every current name, as written: 見本 雪; ミホン ユキ."""
    found = []
    for name in patient.get("name", ()):
        if name.get("use") in ("old", "maiden", "nickname"):
            continue
        text = name.get("text") or " ".join([*filter(None, [name.get("family")]), *name.get("given", ())])
        if text and text not in found:
            found.append(text)
    return "; ".join(found)


def sex(patient: Resource) -> str:
    words = {"female": ("女性", "female"), "male": ("男性", "male"), "other": ("その他", "other"),
             "unknown": ("不明", "unknown")}  # fmt: skip
    code = patient.get("gender")
    return both(*words[code]) if code in words else both("記載なし", "not stated")
