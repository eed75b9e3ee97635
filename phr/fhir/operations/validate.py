"""$validate: what there is to say of a resource, without storing or keeping anything (R4 resource-operation-validate).

A finding is never an error of HTTP: the answer is 200 with an OperationOutcome. Only a call that makes no sense (no
resource, an unknown mode) is refused. What is stored is validated as the caller may read it, and reading it is logged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from phr.fhir import wire
from phr.fhir.door import admitted
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.inputs import In, refused
from phr.fhir.outcome import KEPT, Issue, as_json
from phr.records import body
from phr.records.gateway import Records
from phr.records.profiles import judging

# the interaction that each mode asks about, as its letter in a scope
LETTERS: Final = {"create": "c", "update": "u", "delete": "d", "profile": ""}


@operation(
    "validate",
    levels={"type", "instance"},
    definition="http://hl7.org/fhir/OperationDefinition/Resource-validate",
    inputs=(In("resource", "Resource"), In("mode", "code"), In("profile", "canonical")),
)
def validate(records: Records, ask: Ask) -> bytes:
    """The findings on the resource sent, or on the stored one; `mode` and `profile` as in the OperationDefinition."""
    mode, profile, sent = ask.one("mode"), ask.one("profile"), ask.one("resource")
    if mode is not None and mode not in LETTERS:
        raise refused("mode", "create, update, delete, profile のいずれかです。One of create, update, delete, profile.")
    if mode == "profile" and profile is None:
        raise refused("profile", "mode=profile には profile が必要です。mode=profile needs a profile.", "required")
    stored = _stored(records, ask)
    if sent is None and stored is None:
        raise refused("resource", "検証する資源がありません。There is no resource to validate.", "required")
    found = list(_reach(records, ask, mode))
    if sent is not None or mode != "delete":
        found += _judged(records, ask, sent if sent is not None else stored or {}, mode, profile)
    text = "問題は見つかりませんでした。No issues found."
    return as_json(found or [Issue("informational", text, severity="information")])


def _stored(records: Records, ask: Ask) -> dict[str, Any] | None:
    """What stands at the place of the call, as the caller may read it. Raises NotFound and the like."""
    if ask.id is None or ask.type is None:
        return None
    admitted(records, ask.type, "r")
    found = records.read(ask.type, ask.id)
    return body.parse(wire.shown(found, labels=records.shows_labels(found)))


def _reach(records: Records, ask: Ask, mode: str | None) -> Iterator[Issue]:
    """What stands in the way before its content counts: the token does not carry it, or it is never done."""
    letter = LETTERS.get(mode or "", "")
    if letter and not any(letter in d.letters and d.type in ("*", ask.type) for d in records.scope.doors):
        text = "このトークンの範囲外です。"
        yield Issue("forbidden", f"{text} The token does not cover {ask.type} '{letter}'.", str(ask.type))
    if mode == "delete" and ask.type == "Patient":
        yield Issue("not-supported", KEPT, "Patient")


def _judged(
    records: Records, ask: Ask, resource: dict[str, Any], mode: str | None, profile: str | None
) -> Iterator[Issue]:
    kind = resource.get("resourceType")
    if isinstance(kind, str) and kind != ask.type:
        text = f"{ask.type} ではありません。"
        yield Issue("invalid", f"{text} The resource is no {ask.type}.", "resourceType")
    if mode == "update" and ask.id is not None and resource.get("id") != ask.id:
        text = "id が URL と違います。"
        yield Issue("invalid", f"{text} Its id is not the one in the URL.", f"{ask.type}.id")
    for each in judging.findings(resource, [profile] if profile else [], now=records.now):
        yield Issue(each.code, each.diagnostics, each.expression, each.severity)
