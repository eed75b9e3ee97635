"""HL7 v2.5 over HTTP: `POST /api/hl7` with one message as the body; the ACK is the answer's body.

The token is a system's or staff's, without a patient, and carries `c` for Encounter. Status: 200 AA, 422 AE or AR, 503
where it may be sent again. Source: HL7 over HTTP (HAPI, 1.0) for the content type; HL7 v2.5, 2.9 for the ACK.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from consent.models import Organization
from integrations import taking
from integrations.hl7 import connector, receiving
from phr.caller import caller_of
from phr.fhir import wire
from phr.fhir.outcome import Problem
from phr.records.gateway import NotFound

HL7 = "application/hl7-v2"
_KINDS = frozenset({HL7, "application/hl7-v2+er7", "x-application/hl7-v2+er7"})


def acceptable(request: HttpRequest) -> None:
    """The answer is HL7, whatever JSON the rest of this door speaks. Raises Problem (406)."""
    accept = request.headers.get("Accept", "*/*").lower()
    kinds = {part.partition(";")[0].strip() for part in accept.split(",")}
    if not kinds & (_KINDS | {"*/*", "application/*", ""}):
        raise Problem(406, "not-supported", f"答えは {HL7} です。The answer is {HL7}.")


def take(request: HttpRequest) -> HttpResponse:
    """Keep one message and answer when it is kept."""
    now = timezone.now()
    caller = caller_of(request, now=now)
    office = Organization.objects.filter(pk=caller.organization or 0).first()
    if office is None:
        raise NotFound(connector.KIND)
    taking.may_send(receiving.FEED, organization=office, by=caller, profile="", now=now)
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() not in _KINDS:
        raise Problem(415, "not-supported", f"Content-Type は {HL7} です。Expected {HL7}.")
    data = wire.received(request)
    answer = receiving.receive(data, organization=office, by=caller, now=now)
    status = 200 if answer.code == "AA" else 503 if answer.again else 422
    content = receiving.acknowledged(data, answer, now=now)
    headers = {"Retry-After": "30"} if status == 503 else {}
    return HttpResponse(content, status=status, content_type=HL7, headers=headers)
