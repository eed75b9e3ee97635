"""How an operation is offered, found and called (R4 operations.html §3.2).

An operation is a plain function under a decorator that says what its OperationDefinition says:

    @operation("everything", on=("Patient",), levels={"type"}, definition=URL, inputs=(In("start", "date"),))
    def everything(records: Records, ask: Ask) -> bytes: ...

It gets the record as its caller may see it and its parameters, already read and checked; it answers with
a resource (bytes) or, where status or headers matter, with a response. Refusals are raised, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse

from phr.fhir import wire
from phr.fhir.door import known, open_records
from phr.fhir.operations import inputs as reading
from phr.fhir.operations.inputs import In, Values
from phr.fhir.outcome import FHIR_JSON, Problem
from phr.records.gateway import Records

Answer = bytes | HttpResponse
LEVELS = frozenset({"system", "type", "instance", "version"})
ANY = "*"
SYSTEM = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """One call of `$operation`.

    `type`, `id`, `version`: the place (None where the level has none). `values`: each declared parameter that came.
    `rest`: what is not declared, for operations that take search parameters. `asked`: the query string as it came.
    `headers`: of the request, with any case.
    """

    operation: str
    type: str | None
    id: str | None
    values: Values
    rest: wire.Pairs
    asked: wire.Pairs
    headers: Mapping[str, str]
    version: str | None = None

    def one(self, name: str, default: Any = None) -> Any:
        """The single value of a parameter."""
        found = self.values.get(name)
        return found[0] if found else default

    def many(self, name: str) -> list[Any]:
        """All values of a parameter, in order."""
        return list(self.values.get(name, ()))

    @property
    def place(self) -> str:
        """`Type/id`, `Type` or nothing."""
        return "/".join(part for part in (self.type, self.id) if part)


Deed = Callable[[Records, Ask], Answer]


@dataclass(frozen=True, slots=True)
class Operation:
    """What is offered. `on`: types, none = any. `changes`: whether it alters anything (then it is POST only).

    `rest`: whether undeclared parameters go to `Ask.rest` instead of being refused.
    """

    name: str
    on: tuple[str, ...]
    levels: frozenset[str]
    definition: str
    inputs: tuple[In, ...]
    changes: bool
    rest: bool
    deed: Deed

    @property
    def methods(self) -> tuple[str, ...]:
        """GET only where nothing changes and every required parameter is a simple one (§3.2.0.1)."""
        simple = all(i.primitive for i in self.inputs if i.min)
        return ("POST",) if self.changes or not simple else ("GET", "POST")


_offered: dict[tuple[str, str], Operation] = {}


def operation(
    name: str,
    *,
    definition: str,
    levels: set[str],
    on: tuple[str, ...] = (),
    inputs: tuple[In, ...] = (),
    changes: bool = False,
    rest: bool = False,
) -> Callable[[Deed], Deed]:
    """Offer the decorated function as `$name`. `on`: the types, none = every type."""
    assert levels and levels <= LEVELS, levels

    def offer(deed: Deed) -> Deed:
        made = Operation(name, on, frozenset(levels), definition, inputs, changes, rest, deed)
        places = list(on or (ANY,)) if levels != {"system"} else []
        for place in places + [SYSTEM] * ("system" in levels):
            assert (name, place) not in _offered, f"${name} is offered twice at {place or 'the base'}"
            _offered[name, place] = made
        return deed

    return offer


def offered(type: str = SYSTEM) -> Iterator[Operation]:
    """What is offered at the base, on one type, or (`ANY`) on every type; by name. For the CapabilityStatement."""
    return (found for (_, place), found in sorted(_offered.items(), key=lambda item: item[0]) if place == type)


def find(name: str, type: str | None, id: str | None, version: str | None = None) -> Operation:
    """The operation at this place. Raises Problem (404) as for any path where nothing is."""
    level = "system" if type is None else "type" if id is None else "instance" if version is None else "version"
    places = (SYSTEM,) if type is None else (known(type), ANY)
    for place in places:
        found = _offered.get((name, place))
        if found is not None and level in found.levels:
            return found
    text = f"この場所に操作 ${name} はありません。There is no operation ${name} at this place."
    raise Problem(404, "not-supported", text)


def call(
    request: HttpRequest, *, operation: str, type: str | None = None, id: str | None = None, version: str | None = None
) -> HttpResponse:
    """The view of every operation."""
    found = find(operation, type, id, version)
    method = "GET" if request.method == "HEAD" else request.method or ""
    allowed(found, method)
    records = open_records(request)
    asked, headers = wire.asked(request), request.headers
    content = _content(request) if method == "POST" else None
    lenient = not wire.strict(headers.get("Prefer", ""), "strict")
    values, rest = reading.read(found.inputs, asked, content, rest=found.rest, lenient=lenient)
    answer = found.deed(records, Ask(found.name, type, id, values, rest, asked, headers, version))
    return answer if isinstance(answer, HttpResponse) else HttpResponse(answer, content_type=FHIR_JSON)


def allowed(found: Operation, method: str) -> None:
    """Raises Problem (405) for a method the operation is not called with."""
    if method not in found.methods:
        text = f"${found.name} は {', '.join(found.methods)} で呼び出します。This operation is called otherwise."
        raise Problem(405, "not-supported", text, Allow=", ".join(found.methods))


def _content(request: HttpRequest) -> dict[str, Any] | None:
    """The body as JSON; None where there is none (an operation without required parameters needs none)."""
    if request.headers.get("Content-Length", "0") in ("", "0") and "Transfer-Encoding" not in request.headers:
        return None
    return wire.json_body(request)
