"""What writes: create, update, patch, delete, each also by condition (R4 http.html §3.1.0.4 to §3.1.0.8)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.http import http_date

from phr.fhir import bundle, hinting, patch_bodies, preconditions, throttle, wire
from phr.fhir.door import admitted, known, open_records
from phr.fhir.outcome import FHIR_JSON, Issue, Problem, as_json
from phr.records.gateway import Records, Stored
from phr.records.search.parse import Query

# -- create ----------------------------------------------------------------------------------------


def create(request: HttpRequest, *, type: str) -> HttpResponse:
    """POST to a type; with If-None-Exist only where nothing matches."""
    records = _opened(request, type, "c")
    resource = _resource(request, type)
    throttle.charge(records)
    asked = request.headers.get("If-None-Exist")
    if asked is None:
        return _answer(request, records, records.create(resource), created=True)
    admitted(records, type, "s")
    stored, created = records.create_unless(resource, preconditions.condition(type, wire.utf8(asked), now=records.now))
    return _answer(request, records, stored, created=created)


# -- update ----------------------------------------------------------------------------------------


def update(request: HttpRequest, *, type: str, id: str) -> HttpResponse:
    """PUT to an id: the next version, the first one under an id of the caller's own, or the return of a deleted one."""
    records = _opened(request, type, "u")
    resource = _resource(request, type)
    if resource.get("id") != id:
        text = "本文の id が URL と違います。The id in the body is not the one in the URL."
        raise Problem(400, "invalid", text, f"{type}.id")
    if_match, fresh = preconditions.if_match(request), preconditions.fresh(request)
    throttle.charge(records)
    stored, created = records.put(type, id, resource, if_match=if_match, fresh=fresh)
    return _answer(request, records, stored, created=created)


def update_where(request: HttpRequest, *, type: str) -> HttpResponse:
    """PUT to a type with criteria (§3.1.0.4.3)."""
    records = _opened(request, type, "u", "s")
    resource = _resource(request, type)
    if_match, fresh = preconditions.if_match(request), preconditions.fresh(request)
    condition = _condition(request, type, records)
    throttle.charge(records)
    stored, created = records.put_where(condition, resource, if_match=if_match, fresh=fresh)
    return _answer(request, records, stored, created=created)


# -- patch -----------------------------------------------------------------------------------------


def patch(request: HttpRequest, *, type: str, id: str) -> HttpResponse:
    records = _opened(request, type, "u", "r")
    change = patch_bodies.of_request(request)
    throttle.charge(records)
    stored = records.patch(type, id, change, if_match=preconditions.if_match(request))
    return _answer(request, records, stored)


def patch_where(request: HttpRequest, *, type: str) -> HttpResponse:
    records = _opened(request, type, "u", "r", "s")
    change = patch_bodies.of_request(request)
    condition = _condition(request, type, records)
    throttle.charge(records)
    stored = records.patch_where(condition, change, if_match=preconditions.if_match(request))
    return _answer(request, records, stored)


# -- delete ----------------------------------------------------------------------------------------


def delete(request: HttpRequest, *, type: str, id: str) -> HttpResponse:
    records = _opened(request, type, "d")
    return _gone(request, records.delete(type, id, if_match=preconditions.if_match(request)))


def delete_where(request: HttpRequest, *, type: str) -> HttpResponse:
    """DELETE with criteria: the one match, or nothing; several are left alone (§3.1.0.7.1)."""
    records = _opened(request, type, "d", "s")
    condition = _condition(request, type, records)
    return _gone(request, records.delete_where(condition, if_match=preconditions.if_match(request)))


def _gone(request: HttpRequest, gone: Stored | None) -> HttpResponse:
    answer = HttpResponse(status=204)
    if wire.preference(request, "return", "") == "OperationOutcome":
        told = Issue("informational", "削除しました。Deleted.", severity="information")
        answer = HttpResponse(as_json([told]), status=200, content_type=FHIR_JSON)
    if gone:
        answer["ETag"] = wire.etag(gone.version)
        answer["Last-Modified"] = http_date(gone.updated_at.timestamp())
    return answer


# -- system ----------------------------------------------------------------------------------------


def post_bundle(request: HttpRequest) -> HttpResponse:
    """POST to the base: a batch or a transaction (§3.1.0.11)."""
    records = open_records(request)
    content = wire.json_body(request)
    throttle.charge(records, throttle.writing(content))
    prefer = wire.preference(request, "return", "minimal")
    return HttpResponse(bundle.process(records, content, prefer=prefer, request=request), content_type=FHIR_JSON)


# -- all of them -----------------------------------------------------------------------------------


def _opened(request: HttpRequest, type: str, *letters: str) -> Records:
    records = open_records(request)
    for letter in letters:
        admitted(records, known(type), letter)
    return records


def _condition(request: HttpRequest, type: str, records: Records) -> Query:
    return preconditions.condition(type, wire.query_string(request), now=records.now, name="condition")


def _resource(request: HttpRequest, type: str) -> dict[str, Any]:
    resource = wire.json_body(request)
    if resource.get("resourceType") != type:
        text = f"本文は {type} ではありません。The body is no {type}."
        raise Problem(400, "invalid", text, f"{type}.resourceType")
    return resource


def _answer(request: HttpRequest, records: Records, stored: Stored, *, created: bool = False) -> HttpResponse:
    prefer = wire.preference(request, "return", "representation")
    labels = records.shows_labels(stored)
    hints = hinting.issues(records, stored)
    return wire.one(stored, status=201 if created else 200, labels=labels, location=True, prefer=prefer, hints=hints)
