"""Patient `$match`: who is who, in a link request that the trust allows (R4 operation-patient-match)."""

from __future__ import annotations

from typing import Any

import msgspec

from phr.fhir import matching, wire
from phr.fhir.door import admitted
from phr.fhir.matching import Match
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.inputs import In, refused
from phr.fhir.outcome import Problem
from phr.fhir.shape import SUBSETTED
from phr.records import body, validate
from phr.records.gateway import Invalid, Records, Stored
from phr.records.search.parse import Query
from phr.smart import linking

GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
MOST = 20
CLOSED = (
    "認められた連結の手続きの中でだけ使えます。Only inside an authorised link request:"
    " a system client that the trust lets link, for the purpose PATADMIN."
)
NEEDED = "番号 (system と value)、または氏名と生年月日が必要です。Needs an identifier, or a name and a birth date."


@operation(
    "match",
    on=("Patient",),
    levels={"type"},
    definition="http://hl7.org/fhir/OperationDefinition/Patient-match",
    inputs=(In("resource", "Patient", min=1), In("onlyCertainMatches", "boolean"), In("count", "integer")),
)
def match(records: Records, ask: Ask) -> bytes:
    """Certain and probable matches, the likeliest first; of each its id and what the asker said rightly. Logged."""
    if not linking.may_link(records.caller):
        raise Problem(403, "forbidden", CLOSED)
    admitted(records, "Patient", "s")
    asked = _sound(ask.one("resource"))
    limit = _limit(ask)
    told = _told(asked, records.candidates(_queries(records, asked)))
    if ask.one("onlyCertainMatches", False):
        certain = [pair for pair in told if pair[1].grade == matching.CERTAIN]
        told = certain if len(certain) == 1 else []
    told = told[:limit]
    records.log_extract("$match", [one for one, _ in told])
    return wire.bundle("searchset", [_entry(one, how) for one, how in told], total=len(told))


def _told(asked: dict[str, Any], candidates: list[Stored]) -> list[tuple[Stored, Match]]:
    pairs = [(one, matching.compare(asked, body.parse(one.body or b"{}"))) for one in candidates]
    likely = [pair for pair in pairs if pair[1].grade != matching.POSSIBLE]
    return sorted(likely, key=lambda pair: (-pair[1].score, pair[0].pk))


def _sound(asked: dict[str, Any]) -> dict[str, Any]:
    problems = [p for p in validate.check(asked) if p.severity in ("fatal", "error")]
    if problems:
        raise Invalid(problems)
    if not matching.sufficient(asked):
        raise Problem(400, "required", NEEDED, "Patient")
    return asked


def _limit(ask: Ask) -> int:
    asked = ask.one("count", MOST)
    if asked < 1:
        raise refused("count", "正の整数です。It must be positive.")
    return min(int(asked), MOST)


def _queries(records: Records, asked: dict[str, Any]) -> list[Query]:
    """What narrows the candidates: the same number, or born on the same day with a like name."""
    numbers = [
        f"{_literal(i['system'])}|{_literal(i['value'])}"
        for i in asked.get("identifier", ())
        if i.get("system") and i.get("value")
    ]
    out = []
    if numbers:
        out.append(wire.query("Patient", [("identifier", ",".join(numbers))], now=records.now, strict=True))
    if len(asked.get("birthDate", "")) == 10 and (names := matching.words(asked)):
        pairs = [("birthdate", asked["birthDate"]), ("name", ",".join(map(_literal, names)))]
        out.append(wire.query("Patient", pairs, now=records.now, strict=True))
    return out


def _literal(text: str) -> str:
    """A value as a search takes it literally (R4 search.html §3.1.1.4.0.1)."""
    for mark in ("\\", ",", "|", "$"):
        text = text.replace(mark, f"\\{mark}")
    return text


def _entry(found: Stored, how: Match) -> bytes:
    resource = {"resourceType": "Patient", "id": found.id, "meta": {"tag": [SUBSETTED]}, **how.agreeing}
    search = {"extension": [{"url": GRADE, "valueCode": how.grade}], "mode": "match", "score": how.score}
    url = msgspec.json.encode(f"{wire.base()}/{found.reference}")
    return b'{"fullUrl":%s,"resource":%s,"search":%s}' % (url, body.write(resource), body.write(search))
