"""What is due, and how a child grows: the tables of child health, asked about one record. Part of /api/trust.

A token shows as far as its own scopes go; a signed-in person sees all she may see. The tables are quoted: no order.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from consent.decide import Caller
from consent.refusal import Absent, Refusal
from phr.api.frame import endpoint, person_of, record_of
from phr.api.rights import caller_at
from phr.care import checkups, gestation
from phr.care import growth as tables
from phr.care.checkups import Due
from phr.care.dates import last_day_of, years_old
from phr.care.immunizations import Line, State, maternal, plan
from phr.care.rules import Rules, diseases
from phr.records import caring, measuring
from phr.records.gateway import Gone, NotFound, Records, Refused, TooCostly
from phr.records.measuring import Body, Measured

ASK = (
    "表に書かれていることで、指示ではありません。かかりつけ医・市町村に確認してください / "
    "what the tables say: ask the doctor or the municipality"
)
_DAY = OpenApiParameter("date", OpenApiTypes.DATE, description="その日の状態 / as of this day (today)")


class VaccinationShape(serializers.Serializer[Any]):
    """One series. `earliest`, `last`: law; `recommended`, `standard_until`: 標準的な接種期間."""

    vaccine = serializers.CharField()
    name = serializers.CharField()
    english = serializers.CharField()
    diseases = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(choices=[str(s) for s in State])
    given = serializers.IntegerField()
    doubtful = serializers.BooleanField(help_text="確認が必要な接種がある / a dose is to be confirmed")
    number = serializers.IntegerField(allow_null=True)
    of = serializers.IntegerField(allow_null=True)
    products = serializers.ListField(child=serializers.CharField())
    earliest = serializers.DateField(allow_null=True)
    recommended = serializers.DateField(allow_null=True)
    standard_until = serializers.DateField(allow_null=True)
    last = serializers.DateField(allow_null=True)
    voluntary = serializers.BooleanField()


class CheckupShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=[str(s) for s in checkups.State])
    first = serializers.DateField()
    last = serializers.DateField()
    by_law = serializers.BooleanField()


class PregnancyShape(serializers.Serializer[Any]):
    expected = serializers.DateField()
    method = serializers.CharField()
    days = serializers.IntegerField()
    age = serializers.CharField()
    trimester = serializers.ChoiceField(choices=["初期", "中期", "後期"])


class DueShape(serializers.Serializer[Any]):
    day = serializers.DateField()
    rules = serializers.CharField()
    ask = serializers.CharField()
    uncounted = serializers.IntegerField(help_text="数えられない接種記録 / doses that could not be counted")
    vaccinations = VaccinationShape(many=True)
    checkups = CheckupShape(many=True)
    pregnancy = PregnancyShape(allow_null=True)


class GrowthPointShape(serializers.Serializer[Any]):
    """One measurement. `percentile`: null beyond 3 and 97 (`text` then says <3 or >97) and without a reference."""

    reference = serializers.CharField()
    measure = serializers.ChoiceField(choices=["weight", "height", "head"])
    on = serializers.DateField()
    value = serializers.FloatField()
    unit = serializers.ChoiceField(choices=["kg", "cm"])
    months = serializers.FloatField()
    corrected_months = serializers.FloatField(allow_null=True, help_text="修正月齢 / from term, to two years")
    lying = serializers.BooleanField()
    edition = serializers.CharField(allow_null=True)
    percentile = serializers.FloatField(allow_null=True)
    text = serializers.CharField(allow_null=True)
    sds = serializers.FloatField(allow_null=True)
    median = serializers.FloatField(allow_null=True)


class DegreeShape(serializers.Serializer[Any]):
    on = serializers.DateField()
    percent = serializers.FloatField()
    name = serializers.CharField()
    edition = serializers.CharField()


class GrowthShape(serializers.Serializer[Any]):
    points = GrowthPointShape(many=True)
    degrees = DegreeShape(many=True, help_text="肥満度 / degree of obesity")
    gestation = serializers.IntegerField(allow_null=True, help_text="出生時の妊娠日数 / days at birth")
    more = serializers.BooleanField()
    ask = serializers.CharField()


@extend_schema(parameters=[_DAY])
@endpoint("GET", gives=DueShape)
def list_due(request: Request, subject: UUID) -> Response:
    """Vaccinations and checkups as they stand on a day; of a pregnancy, the next visit. Nothing of who has died."""
    day, records = _day(request), _opened(request, subject)
    rules = caring.rules(day)
    empty = {"day": day, "rules": rules.version, "ask": ASK, "uncounted": 0, "vaccinations": [], "checkups": []}
    try:
        seen = caring.person(records, subject, rules)
    except (NotFound, Gone):
        raise Absent from None
    except caring.Deceased:
        return Response(DueShape(empty | {"pregnancy": None}).data)
    except caring.NoBirthDate:
        raise Refusal("生年月日が分かりません / the whole date of birth is not known", place="date") from None
    except TooCostly:
        raise Refusal("接種記録が多すぎます / too many doses", place="date") from None
    if day < seen.person.birth:
        raise Refusal("生まれる前の日です / before birth", place="date")
    days, encounters = measuring.stages_seen(records, subject)
    pregnant = measuring.pregnancy(records, subject, visits=days.get("prenatal", ()), day=day)
    records.log_extract("due", [*seen.found, *encounters, *(pregnant.found if pregnant else ())])
    found = plan(seen.person, day=day, rules=rules)
    lines, visits = list(found.lines), _checkups(seen.person.birth, days, day)
    if pregnant:
        lines += maternal(pregnant.expected.on, seen.person.given, day=day, rules=rules)
        coming = checkups.next_visit(pregnant.expected.on, max(pregnant.visits, default=None), day=day)
        visits += [coming] if coming else []
    told = empty | {
        "uncounted": len(seen.unread) + len(found.unplaced),
        "vaccinations": [_line(line, rules) for line in lines],
        "checkups": visits,
        "pregnancy": _pregnancy(pregnant.expected, day) if pregnant else None,
    }
    return Response(DueShape(told).data)


@endpoint("GET", gives=GrowthShape)
def show_growth(request: Request, subject: UUID) -> Response:
    """Every weight, height and head circumference with its place among children of that age, and its edition."""
    records = _opened(request, subject)
    try:
        patient = caring.patient(records, subject)
        birth, sex = caring.born(patient), str(patient.get("gender", ""))
    except (NotFound, Gone):
        raise Absent from None
    except caring.NoBirthDate:
        raise Refusal("生年月日が分かりません / the whole date of birth is not known", place="date") from None
    found = measuring.growth(records, subject)
    records.log_extract("growth", [one.found for one in found.measured])
    kept = [one for one in found.measured if one.on >= birth]
    told = {
        "points": [_point(one, birth, sex, found) for one in kept],
        "degrees": list(_degrees(kept, birth, sex)),
        "gestation": found.gestation, "more": found.more, "ask": ASK,
    }  # fmt: skip
    return Response(GrowthShape(told).data)


def _opened(request: Request, subject: UUID) -> Records:
    """The record as this caller may see it. Raises Absent."""
    now = timezone.now()
    person = person_of(request)
    record, capacity = record_of(request, subject, now=now, line=False)
    caller = request.auth if isinstance(request.auth, Caller) else caller_at(request, person, record, capacity)
    try:
        return Records.opened_by(caller, now=now)
    except Refused:
        raise Absent from None


def _day(request: Request) -> date:
    if len(request.query_params.getlist("date")) > 1:
        raise ParseError("date は一つだけです / only one date")
    text = request.query_params.get("date")
    if text is None:
        return caring.today(timezone.now())
    told = last_day_of(text) if set(request.query_params) == {"date"} else None
    if told is None or not told[1] or not caring.FIRST <= told[0].year <= caring.LAST:
        raise Refusal("年月日が必要です / a date is needed", place="date")
    return told[0]


def _checkups(birth: date, days: dict[str, list[date]], day: date) -> list[Due]:
    done = {kind for kind, seen in days.items() if kind != "school" and any(on <= day for on in seen)}
    return checkups.of_child(birth, done=done, day=day)


def _line(line: Line, rules: Rules) -> dict[str, Any]:
    vaccine, coming = rules.vaccines[line.vaccine], line.next
    names = ("number", "of", "earliest", "recommended", "standard_until", "last")
    return {
        "vaccine": line.vaccine, "name": vaccine.ja, "english": vaccine.en, "state": str(line.state),
        "diseases": [diseases()[id]["ja"] for id in line.diseases],
        "given": len(line.given), "doubtful": any(one.doubtful for one in line.given),
        "products": [rules.products[id].ja for id in line.vaccines], "voluntary": line.voluntary,
        **{name: getattr(coming, name) if coming else None for name in names},
    }  # fmt: skip


def _pregnancy(expected: gestation.Expected, day: date) -> dict[str, Any]:
    count = gestation.days(expected.on, day) or 0
    return {
        "expected": expected.on, "method": expected.method, "days": count, "age": gestation.told(count),
        "trimester": gestation.trimester(count),
    }  # fmt: skip


def _point(one: Measured, birth: date, sex: str, found: Body) -> dict[str, Any]:
    months = tables.age(birth, one.on)
    at = tables.position(one.measure, sex, months, one.value)
    corrected = tables.corrected_age(birth, one.on, found.gestation) if found.gestation else None
    return {
        "reference": one.found.reference, "measure": one.measure, "on": one.on, "value": round(one.value, 3),
        "unit": "kg" if one.measure == "weight" else "cm", "months": round(months, 2),
        "corrected_months": None if corrected is None else round(corrected, 2), "lying": tables.lying(birth, one.on),
        **{name: getattr(at, name) if at else None for name in ("edition", "percentile", "text", "sds", "median")},
    }  # fmt: skip


def _degrees(found: Iterable[Measured], birth: date, sex: str) -> Iterable[dict[str, Any]]:
    """Of each day on which weight and height were both taken."""
    days: dict[date, dict[str, float]] = {}
    for one in found:
        days.setdefault(one.on, {})[one.measure] = one.value
    for on, values in sorted(days.items()):
        if "weight" in values and "height" in values:
            degree = tables.degree(sex, years_old(birth, on), values["height"], values["weight"])
            if degree:
                yield {"on": on, "percent": degree.percent, "name": degree.name, "edition": degree.edition}


urlpatterns = [
    path("records/<uuid:subject>/due", list_due, name="due"),
    path("records/<uuid:subject>/growth", show_growth, name="growth"),
]
