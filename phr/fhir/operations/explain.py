"""`$explain`: why can, or can't, somebody see this resource, or (on Patient) this record? Our own operation.

The answer is a Parameters: `result`, then each rule that spoke as `reason`; of a record one `category` after another.
"""

from __future__ import annotations

from typing import Any

from consent.refusal import Because, Refusal
from phr.fhir.door import admitted
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.inputs import In
from phr.fhir.outcome import Problem
from phr.records import body, systems
from phr.records.gateway import Records
from phr.trust import explaining
from phr.trust.explaining import About, Answer, Told

STATUS = {Because.FORBIDDEN: (403, "forbidden")}


@operation(
    "explain",
    levels={"instance"},
    definition=f"{systems.OWN}/OperationDefinition/explain",
    inputs=(In("actor", "string"), In("purpose", "code"), In("action", "code")),
)
def explain(records: Records, ask: Ask) -> bytes:
    """Who asks sees it herself, or gets what anybody gets for what is not there: 404."""
    assert ask.type is not None
    assert ask.id is not None
    admitted(records, ask.type, "r")
    about = About(ask.one("actor", ""), ask.one("purpose", ""), ask.one("action", "access"))
    try:
        if ask.type == "Patient":
            return _of_record(explaining.of_record(records, ask.id, about))
        return body.write(_parameters(_shown(explaining.of_resource(records, ask.type, ask.id, about))))
    except Refusal as error:
        status, code = STATUS.get(error.because, (400, "invalid"))
        raise Problem(status, code, error.why, f"http.{error.place}") from error


def _of_record(answers: dict[Any, Answer]) -> bytes:
    told = [
        {"name": "category", "part": [{"name": "name", "valueCode": c.name}, *_shown(a)]} for c, a in answers.items()
    ]
    return body.write(
        _parameters([{"name": "result", "valueBoolean": any(a.permitted for a in answers.values())}, *told])
    )


def _shown(answer: Answer) -> list[dict[str, Any]]:
    return [{"name": "result", "valueBoolean": answer.permitted}, *map(_reason, answer.told)]


def _reason(told: Told) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"name": "rule", "valueCode": told.rule.value},
        {"name": "permits", "valueBoolean": told.permits},
        {"name": "text", "valueString": told.words},
    ]
    parts += [
        {
            "name": "consent",
            "part": [{"name": "grant", "valueInteger": pk}, {"name": "version", "valueInteger": version}],
        }
        for pk, version in told.grants
    ]
    parts += [{"name": "on", "valueString": name} for name in told.on]
    return {"name": "reason", "part": parts}


def _parameters(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": parts}
