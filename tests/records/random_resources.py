"""Random sound resources of any R4 type, drawn from the definitions (Hypothesis)."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from consent.scope import OPEN_TYPES
from phr.populate.cast import YUKI
from phr.records import body, definitions, second_opinion, validate
from phr.records.definitions import Element, choice_key
from phr.records.validate_values import FORMATS

DEEPEST = 3
LEFT_OUT = frozenset({"id", "contained", "implicitRules", "meta"})
TEXT = st.text(
    st.characters(categories=("L", "N", "P", "S"), exclude_characters="\u2028\u2029"), min_size=1, max_size=12
) | st.sampled_from(["見本　はな", "a b", "行\n行", "ﾊﾅ", "𠮷", "é", "\"\\/"])  # fmt: skip
ID = st.from_regex(r"[A-Za-z0-9\-.]{1,20}", fullmatch=True)
YEAR, MONTH, DAY = st.integers(1900, 2099), st.integers(1, 12), st.integers(1, 28)
ZONE = st.sampled_from(["Z", "+09:00", "-05:30", "+14:00"])
CLOCK = st.builds(
    "{:02}:{:02}:{:02}{}".format,
    st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.sampled_from(["", ".5", ".123456"]),
)  # fmt: skip
FULL_DATE = st.builds("{}-{:02}-{:02}".format, YEAR, MONTH, DAY)
DATE = FULL_DATE | st.builds("{}".format, YEAR) | st.builds("{}-{:02}".format, YEAR, MONTH)
INSTANT = st.builds("{}T{}{}".format, FULL_DATE, CLOCK, ZONE)


def _decimal(sign: str, whole: int, part: str, power: str) -> Any:
    """A number as JSON may spell it; what stands in the text is what must come back."""
    text = f"{sign}{whole}{part}{power}"
    return body.parse(b'{"n":%s}' % text.encode())["n"] if text != "-0" else 0


DECIMAL = st.builds(
    _decimal, st.sampled_from(["", "-"]), st.integers(0, 10**12) | st.integers(0, 9),
    st.just("") | st.from_regex(r"\.[0-9]{1,12}", fullmatch=True),
    st.sampled_from(["", "", "", "e3", "E-4", "e+2"]),
)  # fmt: skip
PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(), "integer": st.integers(-(2**31), 2**31 - 1), "unsignedInt": st.integers(0, 2**31 - 1),
    "positiveInt": st.integers(1, 2**31 - 1), "decimal": DECIMAL, "string": TEXT, "markdown": TEXT,
    "code": st.from_regex(r"[a-z][a-z\-]{0,10}", fullmatch=True), "id": ID, "date": DATE, "dateTime": DATE | INSTANT,
    "instant": INSTANT, "time": CLOCK, "oid": st.just("urn:oid:1.2.392.100495"),
    "uuid": st.uuids().map(lambda u: f"urn:uuid:{u}"), "base64Binary": st.binary(min_size=1, max_size=30).map(
        lambda b: b64encode(b).decode()),
    "uri": st.from_regex(r"urn:[a-z]{1,8}:[a-z0-9]{1,8}", fullmatch=True),
    "url": st.from_regex(r"https://example\.org/[a-z0-9]{0,8}", fullmatch=True),
    "canonical": st.from_regex(r"https://example\.org/[a-z]{1,8}(\|[0-9])?", fullmatch=True),
    "xhtml": st.sampled_from(['<div xmlns="http://www.w3.org/1999/xhtml">見本<br/>&amp;</div>']),
}  # fmt: skip


def can_be_stored(name: str) -> bool:
    """Types that stand alone or can name the Patient they are about."""
    fields = definitions.fields(name)
    targets = {t for e in ("subject", "patient") if e in fields for _, ts in fields[e].types for t in ts}
    return name != "Patient" and (name in OPEN_TYPES or bool({"Patient", "Resource"} & targets))


TYPES = tuple(sorted(name for name in definitions.concrete_types() if can_be_stored(name)))


@st.composite
def resources(draw: st.DrawFn, names: tuple[str, ...] = TYPES) -> dict[str, Any]:
    """A sound resource about Yuki, or about nobody where the type is an open one."""
    name = draw(st.sampled_from(names))
    resource: dict[str, Any] = {"resourceType": name, **_object(draw, name, 0)}
    fields = definitions.fields(name)
    for element in ("subject", "patient"):
        if element in fields and any({"Patient", "Resource"} & set(ts) for _, ts in fields[element].types):
            for key in [k for k in resource if k.lstrip("_").startswith(element)]:
                del resource[key]
            target = {"reference": f"Patient/{YUKI}"}
            resource[choice_key(element, "Reference") if fields[element].choice else element] = (
                [target] if fields[element].max is None else target
            )
    return _repaired(resource)


def _repaired(resource: dict[str, Any]) -> dict[str, Any]:
    """Without the elements of which an invariant does not hold; such resources are not what is tested here."""
    for _ in range(6):
        problems = validate.check(resource) or second_opinion.check(resource)
        if not problems:
            return resource
        for problem in problems:
            found = re.match(r"[A-Za-z]+\.([A-Za-z]+)", problem.expression)
            for key in [k for k in resource if found and k.lstrip("_").startswith(found[1])]:
                resource.pop(key, None)
    assume(False)
    return resource


def _object(draw: st.DrawFn, kind: str, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    fields = definitions.fields(kind)
    taken = [name for name, element in fields.items() if element.min]
    others = [n for n in fields if n not in taken and n != "contained" and (depth > 0 or n not in LEFT_OUT)]
    if depth < DEEPEST and others:
        taken += draw(st.lists(st.sampled_from(others), max_size=(5, 2, 1)[depth], unique=True))
    for name in taken:
        _element(draw, made, name, fields[name], depth)
    return made


def _element(draw: st.DrawFn, made: dict[str, Any], name: str, element: Element, depth: int) -> None:
    kind, targets = draw(st.sampled_from(element.types))
    if kind == "Resource" or (kind == "Extension" and depth > 1):
        return
    key = choice_key(name, kind) if element.choice else name
    times = draw(st.integers(1, 2)) if element.max is None or element.max > 1 else 1
    values = [_value(draw, element, kind, targets, depth + 1) for _ in range(times)]
    beside: list[Any] = [None] * times
    if kind in FORMATS and kind != "xhtml" and name not in ("url", "id") and draw(st.integers(0, 9)) == 0:
        beside[0] = {"id": draw(ID)} if draw(st.booleans()) else {"extension": [_extension(draw)]}
        if times > 1 and "extension" in beside[0]:
            values[0] = None
    if element.max is None or element.max > 1:
        made[key] = values
        if beside[0]:
            made["_" + key] = beside
    else:
        made[key] = values[0]
        if beside[0]:
            made["_" + key] = beside[0]


def _value(draw: st.DrawFn, element: Element, kind: str, targets: tuple[str, ...], depth: int) -> Any:
    bound = definitions.codes(element.codes) if element.codes is not None else None
    if bound and kind in ("code", "Coding", "CodeableConcept"):
        system = draw(st.sampled_from(sorted(s for s, codes in bound.items() if codes)))
        code = draw(st.sampled_from(sorted(bound[system])[:20]))
        coding = {"system": system, "code": code}
        return {"code": code, "Coding": coding, "CodeableConcept": {"coding": [coding], "text": draw(TEXT)}}[kind]
    if kind in PRIMITIVES:
        return draw(PRIMITIVES[kind])
    if kind == "Reference":
        others = [t for t in targets if t not in ("Resource", "Patient")] or ["Basic"]
        return {"reference": f"{draw(st.sampled_from(others))}/{draw(ID)}", "display": draw(TEXT)}
    if kind == "Period":
        return {"start": "2019-04-02", "end": draw(INSTANT.filter(lambda at: at > "2020"))}
    if kind == "Extension":
        return _extension(draw)
    return _object(draw, kind, depth) or {"extension": [_extension(draw)]}


def _extension(draw: st.DrawFn) -> dict[str, Any]:
    key, value = draw(
        st.tuples(st.just("valueString"), TEXT) | st.tuples(st.just("valueDecimal"), DECIMAL)
        | st.tuples(st.just("valueDate"), DATE) | st.tuples(st.just("valueBoolean"), st.booleans())
    )  # fmt: skip
    return {"url": "https://example.org/x", key: value}
