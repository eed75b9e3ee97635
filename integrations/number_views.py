"""The door at which a system links its own number for somebody: with the code the family shows, and nothing else.

`POST /api/numbers` `{"system": URI, "value": the number, "code": the code}` -> 201. Whose number it is now is not told.
"""

from __future__ import annotations

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from consent.refusal import Absent, Because, Refusal
from integrations import linking
from phr.caller import caller_of
from phr.fhir import wire
from phr.fhir.outcome import Problem
from phr.records.gateway import NotFound

LONGEST = {"system": 200, "value": 100, "code": 40}


def link(request: HttpRequest) -> HttpResponse:
    """A wrong code, one that is over and one that was used are all 404; after a few, 429 for a while."""
    now = timezone.now()
    caller = caller_of(request, now=now)
    content = wire.json_body(request)
    for key in content.keys() - LONGEST.keys():
        raise Problem(400, "invalid", "知らない項目です。Unknown property.", key[:64])
    said = {name: _text(content.get(name), name) for name in LONGEST}
    try:
        number = linking.use_code(**said, by=caller, now=now)
    except Absent:
        raise NotFound("code") from None
    except linking.TooManyTries:
        text = "しばらく待ってください。Too many wrong codes; wait a while."
        raise Problem(429, "throttled", text, Retry_After="3600") from None
    except Refusal as error:
        raise Problem(409 if error.because is Because.CONFLICT else 403, "conflict", str(error)) from None
    told = {"system": number.system, "since": number.since.isoformat(timespec="seconds")}
    return HttpResponse(msgspec.json.encode(told), status=201, content_type="application/json")


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST[place]:
        text = f"{LONGEST[place]} 文字までの文字列です。Expected a text of up to {LONGEST[place]} characters."
        raise Problem(400, "invalid", text, place)
    return value
