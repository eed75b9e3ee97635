"""What a person (or whoever acts for her) sees of her dispensings, and her notebook to take along: part of /api/trust.

A token shows as far as its own scopes go (patient/MedicationDispense.rs …); a signed-in person sees all she may see.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consent.decide import Caller
from consent.models import Organization
from consent.refusal import Absent, Because, Refusal
from integrations import dispensed, notebook
from integrations.dispensed import Entry, Source
from integrations.jahis_qr import symbols
from phr.api.frame import endpoint, person_of, record_of
from phr.api.rights import caller_at
from phr.records.gateway import Gone, NotFound, Records, Refused

TEXT = "text/plain; charset=Shift_JIS"
SPLITS = ("911", "append")
IMAGES = {"png": "image/png", "svg": "image/svg+xml"}


class SourceShape(serializers.Serializer[Any]):
    """One telling. `channel`: claim (a bill) or record; `told_by`: null = the family."""

    reference = serializers.CharField()
    channel = serializers.ChoiceField(choices=["claim", "record"])
    told_by = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    updated_at = serializers.DateTimeField()


class DispensedShape(serializers.Serializer[Any]):
    """One dispensing. `merged_from`: how many tellings; `proposal`: joined by likeness, not by the same key."""

    day = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    quantity = serializers.CharField(allow_null=True)
    unit = serializers.CharField(allow_null=True)
    days = serializers.CharField(allow_null=True)
    usage = serializers.CharField(allow_null=True)
    pharmacy = serializers.CharField(allow_null=True)
    prescriber = serializers.CharField(allow_null=True)
    merged_from = serializers.IntegerField()
    proposal = serializers.BooleanField()
    apart = serializers.BooleanField()
    sources = SourceShape(many=True)


class DispensedListShape(serializers.Serializer[Any]):
    dispensed = DispensedShape(many=True)
    more = serializers.BooleanField(help_text="古いものは含まない / older ones are left out")


class ReferenceBody(serializers.Serializer[Any]):
    reference = serializers.RegexField(
        r"^Medication(Dispense|Statement)/[A-Za-z0-9\-.]{1,64}$", help_text="Type/id of one source"
    )


class SymbolShape(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    svg = serializers.CharField()
    png = serializers.CharField(help_text="base64")


class SymbolsShape(serializers.Serializer[Any]):
    split = serializers.ChoiceField(choices=SPLITS)
    symbols = SymbolShape(many=True)
    more = serializers.BooleanField()


_SPLIT = OpenApiParameter("split", enum=SPLITS, description="911 (JAHIS) or append (Structured Append)")


@endpoint("GET", gives=DispensedListShape)
def list_dispensed(request: Request, subject: UUID) -> Response:
    """Each dispensing once, newest first, with every source that told of it."""
    records, _, _ = _opened(request, subject)
    return _list(records, subject)


@endpoint("POST", takes=ReferenceBody, gives=DispensedListShape, scope="trust.write")
def separate_dispensed(request: Request, subject: UUID, given: Mapping[str, Any]) -> Response:
    """Undo a merge: show this source by itself."""
    records, caller, now = _opened(request, subject)
    try:
        dispensed.separate(records, given["reference"], subject=subject, by=caller, now=now)
    except (NotFound, Gone):
        raise Absent from None
    return _list(records, subject)


@endpoint("POST", takes=ReferenceBody, gives=DispensedListShape, scope="trust.write")
def join_dispensed(request: Request, subject: UUID, given: Mapping[str, Any]) -> Response:
    """Redo a merge: show this source with what is the same."""
    records, caller, now = _opened(request, subject)
    try:
        dispensed.join(records, given["reference"], subject=subject, by=caller, now=now)
    except (NotFound, Gone):
        raise Absent from None
    return _list(records, subject)


@endpoint("GET", gives=OpenApiTypes.STR, media="text/plain")
def show_notebook(request: Request, subject: UUID) -> HttpResponse:
    """The notebook as JAHISTC text (JAHISTC08, cp932) for any other app. `X-More: 1`: older things are left out."""
    text, more = _text(request, subject)
    answer = HttpResponse(text, content_type=TEXT)
    answer["Content-Disposition"] = 'attachment; filename="JAHISTC.txt"'
    if more:
        answer["X-More"] = "1"
    return answer


@extend_schema(parameters=[_SPLIT])
@endpoint("GET", gives=SymbolsShape)
def notebook_symbols(request: Request, subject: UUID) -> Response:
    """The notebook as QR symbols, in the order in which they are to be read."""
    split = _split(request)
    text, more = _text(request, subject)
    made = [
        {
            "number": number,
            "svg": symbols.image(symbol, "svg").decode(),
            "png": base64.b64encode(symbols.image(symbol, "png")).decode(),
        }
        for number, symbol in enumerate(_symbols(text, split), start=1)
    ]
    return Response(SymbolsShape({"split": split, "symbols": made, "more": more}).data)


@extend_schema(parameters=[_SPLIT])
@endpoint("GET", gives=OpenApiTypes.BINARY, media="image/png")
def notebook_symbol(request: Request, subject: UUID, number: int, kind: str) -> HttpResponse:
    """One QR symbol as a picture (png or svg)."""
    split = _split(request)
    text, _ = _text(request, subject)
    made = _symbols(text, split)
    if kind not in IMAGES or not 1 <= number <= len(made):
        raise Absent
    image = symbols.image(made[number - 1], "png" if kind == "png" else "svg")
    return HttpResponse(image, content_type=IMAGES[kind])


def _opened(request: Request, subject: UUID) -> tuple[Records, Caller, datetime]:
    """The record as this caller may see it. Raises Absent."""
    now = timezone.now()
    person = person_of(request)
    record, capacity = record_of(request, subject, now=now, line=False)
    caller = request.auth if isinstance(request.auth, Caller) else caller_at(request, person, record, capacity)
    try:
        return Records.opened_by(caller, now=now), caller, now
    except Refused:
        raise Absent from None


def _list(records: Records, subject: UUID) -> Response:
    entries, more = dispensed.merged(records, subject)
    sources = [source.found for entry in entries for source in entry.sources]
    records.log_extract("dispensed", sources)
    apart, names = dispensed.kept_apart(subject), _names(sources)
    told = [_entry(entry, apart, names) for entry in entries]
    return Response(DispensedListShape({"dispensed": told, "more": more}).data)


def _text(request: Request, subject: UUID) -> tuple[bytes, bool]:
    records, _, _ = _opened(request, subject)
    try:
        return notebook.text_of(records, subject)
    except (NotFound, Gone):
        raise Absent from None


def _split(request: Request) -> symbols.Split:
    asked = request.query_params.get("split", "911")
    if set(request.query_params) - {"split"} or asked not in SPLITS:
        raise Refusal("split は 911 か append です / split is 911 or append", place="split")
    return "append" if asked == "append" else "911"


def _symbols(text: bytes, split: symbols.Split) -> list[Any]:
    try:
        return list(symbols.symbols(text, split=split))
    except symbols.TooMuch:
        why = "QRコードに入りきりません。テキストをお使いください / too much for QR symbols: take the text"
        raise Refusal(why, because=Because.CONFLICT) from None


def _names(found: list[Any]) -> dict[int, str]:
    authors = {one.facts.author for one in found} - {None}
    return dict(Organization.objects.filter(pk__in=authors).values_list("pk", "name"))


def _entry(entry: Entry, apart: set[str], names: Mapping[int, str]) -> dict[str, Any]:
    resource = entry.shown.resource
    amount, dosage = resource.get("quantity", {}), _first(resource, "dosageInstruction") or _first(resource, "dosage")
    return {
        "day": (resource.get("whenHandedOver") or resource.get("effectiveDateTime")
                or resource.get("effectivePeriod", {}).get("start")),
        "name": _name(entry.shown),
        "quantity": str(amount["value"]) if "value" in amount else None,
        "unit": amount.get("unit"),
        "days": str(resource["daysSupply"]["value"]) if "value" in resource.get("daysSupply", {}) else None,
        "usage": dosage.get("text"),
        "pharmacy": _pharmacy(entry),
        "prescriber": _first(resource, "authorizingPrescription").get("display"),
        "merged_from": len(entry.sources), "proposal": entry.loose, "apart": entry.shown.reference in apart,
        "sources": [_source(source, names) for source in entry.sources],
    }  # fmt: skip


def _first(resource: Mapping[str, Any], name: str) -> dict[str, Any]:
    return dict(next(iter(resource.get(name, ())), {}))


def _name(source: Source) -> str:
    concept = source.resource.get("medicationCodeableConcept", {})
    displays = (coding.get("display", "") for coding in concept.get("coding", ()))
    return concept.get("text") or next(filter(None, displays), "")


def _pharmacy(entry: Entry) -> str | None:
    """The first name any source has for where it was."""
    for source in entry.sources:
        actors = [p.get("actor", {}) for p in source.resource.get("performer", ())]
        actors.append(source.resource.get("informationSource", {}))
        for actor in actors:
            if actor.get("type") == "Organization" and actor.get("display"):
                return str(actor["display"])
    return None


def _source(source: Source, names: Mapping[int, str]) -> dict[str, Any]:
    author = source.found.facts.author
    return {
        "reference": source.reference, "channel": "claim" if source.claim else "record",
        "told_by": None if author is None else names.get(author), "name": _name(source),
        "updated_at": source.found.updated_at,
    }  # fmt: skip


urlpatterns = [
    path("records/<uuid:subject>/dispensed", list_dispensed, name="dispensed"),
    path("records/<uuid:subject>/dispensed/separate", separate_dispensed, name="dispensed-separate"),
    path("records/<uuid:subject>/dispensed/join", join_dispensed, name="dispensed-join"),
    path("records/<uuid:subject>/notebook", show_notebook, name="notebook"),
    path("records/<uuid:subject>/notebook/symbols", notebook_symbols, name="notebook-symbols"),
    path("records/<uuid:subject>/notebook/symbols/<int:number>.<str:kind>", notebook_symbol,
         name="notebook-symbol"),
]  # fmt: skip
