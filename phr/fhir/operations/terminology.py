"""Terminology operations over what is bundled, loaded or kept: $expand, $validate-code, $lookup, $subsumes, $translate.

Source: R4 terminology-service.html and the OperationDefinitions of ValueSet, CodeSystem and ConceptMap. Unlike
those, a server here never guesses: what cannot be decided is refused, with the code system that is missing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from phr.fhir.door import admitted
from phr.fhir.operations.calling import Answer, Ask, Deed, operation
from phr.fhir.operations.inputs import In, refused
from phr.fhir.operations.kept import Kept, resource
from phr.fhir.outcome import Problem
from phr.records import body, terminology, validate
from phr.records.gateway import Invalid, Records
from phr.records.terminology import checking, expansion, grammars, mapping
from phr.records.terminology.checking import Coded, Finding
from phr.records.terminology.codesystem import CodeSystem, Concept
from phr.records.terminology.compose import Choice, Evaluation
from phr.records.terminology.errors import TerminologyError
from phr.records.terminology.library import Library, parsed
from phr.records.terminology.sources import Kind, Resource

Rows = list[tuple[str, str, Any]]  # name, data type, value of simple parameters
_STATUS = {"not-found": 404}  # else 422
DEFINITION = "http://hl7.org/fhir/OperationDefinition/"
TYPE_AND_INSTANCE = {"type", "instance"}
_CODED = (In("coding", "Coding"), In("codeableConcept", "CodeableConcept"))


def _offered(name: str, **told: Any) -> Callable[[Deed], Deed]:
    """Offer an operation, with its refusals as the REST door tells them."""

    def offer(deed: Deed) -> Deed:
        @functools.wraps(deed)
        def explained(records: Records, ask: Ask) -> Answer:
            try:
                return deed(records, ask)
            except TerminologyError as error:
                raise Problem(_STATUS.get(error.code, 422), error.code, str(error)) from None

        return operation(name, **told)(explained)

    return offer


# -- $expand ----------------------------------------------------------------------------------------

_ECHOED = (
    "filter", "offset", "count", "includeDesignations", "includeDefinition", "activeOnly", "excludeNested",
    "excludeNotForUI", "displayLanguage",
)  # fmt: skip


@_offered(
    "expand",
    on=("ValueSet",),
    levels=TYPE_AND_INSTANCE,
    definition=DEFINITION + "ValueSet-expand",
    inputs=(
        In("url", "uri"), In("valueSet", "ValueSet"), In("valueSetVersion", "string"), In("filter", "string"),
        In("offset", "integer"), In("count", "integer"), In("includeDesignations", "boolean"),
        In("designation", "string", max=None), In("includeDefinition", "boolean"), In("activeOnly", "boolean"),
        In("excludeNested", "boolean"), In("excludeNotForUI", "boolean"), In("excludePostCoordinated", "boolean"),
        In("displayLanguage", "code"), In("exclude-system", "canonical", max=None),
        In("system-version", "canonical", max=None), In("check-system-version", "canonical", max=None),
        In("force-system-version", "canonical", max=None),
    ),
)  # fmt: skip
def expand(records: Records, ask: Ask) -> bytes:
    """The codes of a value set, always flat (no nesting is ever given, so `excludeNested` changes nothing)."""
    at_hand, valueset = _place(records, ask, "ValueSet", "valueSet")
    for name in ("offset", "count"):
        if ask.one(name, 0) < 0:
            raise refused(name, "0 以上の整数です。It is 0 or more.")
    choice = Choice(
        active_only=ask.one("activeOnly", False),
        without=frozenset(url.partition("|")[0] for url in ask.many("exclude-system")),
        default=_versions(ask, "system-version"),
        checked=_versions(ask, "check-system-version"),
        forced=_versions(ask, "force-system-version"),
    )
    wanted = expansion.Wanted(
        filter=ask.one("filter", ""),
        offset=ask.one("offset", 0),
        count=ask.one("count"),
        designations=ask.one("includeDesignations", False),
        tokens=ask.many("designation"),
        definition=ask.one("includeDefinition", False),
        choosable_only=ask.one("excludeNotForUI", False),
        language=ask.one("displayLanguage", ""),
        echo=[(name, ask.one(name)) for name in _ECHOED if ask.one(name) is not None],
    )
    members = Evaluation(at_hand, choice).members(valueset)
    return body.write(expansion.expansion(valueset, members, wanted, now=records.now))


def _versions(ask: Ask, name: str) -> dict[str, str]:
    """`url|version` pairs. Raises Problem (400)."""
    found = {}
    for text in ask.many(name):
        url, bar, version = text.partition("|")
        if not bar or not version:
            raise refused(name, "url|版 の形です。Expected url|version.")
        found[url] = version
    return found


# -- $validate-code ---------------------------------------------------------------------------------


@_offered(
    "validate-code",
    on=("ValueSet",),
    levels=TYPE_AND_INSTANCE,
    definition=DEFINITION + "ValueSet-validate-code",
    inputs=(
        In("url", "uri"), In("valueSet", "ValueSet"), In("valueSetVersion", "string"), In("code", "code"),
        In("system", "uri"), In("systemVersion", "string"), In("display", "string"), *_CODED,
        In("abstract", "boolean"), In("displayLanguage", "code"),
    ),
)  # fmt: skip
def validate_in_value_set(records: Records, ask: Ask) -> bytes:
    """Whether a code, a coding or one coding of a concept is in a value set."""
    at_hand, valueset = _place(records, ask, "ValueSet", "valueSet")
    codings = _codings(ask, ask.one("system"), "systemVersion")
    evaluation, abstract = Evaluation(at_hand), ask.one("abstract", False)
    return _found(checking.any_of(checking.tried(evaluation, valueset, c, abstract=abstract) for c in codings))


@_offered(
    "validate-code",
    on=("CodeSystem",),
    levels=TYPE_AND_INSTANCE,
    definition=DEFINITION + "CodeSystem-validate-code",
    inputs=(
        In("url", "uri"), In("codeSystem", "CodeSystem"), In("code", "code"), In("version", "string"),
        In("display", "string"), *_CODED, In("abstract", "boolean"), In("displayLanguage", "code"),
    ),
)  # fmt: skip
def validate_in_code_system(records: Records, ask: Ask) -> bytes:
    """Whether a code, a coding or one coding of a concept is in a code system."""
    abstract, url = ask.one("abstract", False), ask.one("url")
    if url in grammars.JUDGES:
        codings, at_hand = _codings(ask, url, "version"), _at_hand(records)
        return _found(checking.any_of(checking.in_system_of(at_hand, c, abstract=abstract) for c in codings))
    at_hand, told = _place(records, ask, "CodeSystem", "codeSystem", version="version", or_none=True)
    if told is None:
        codings = _codings(ask, None, "version")
        return _found(checking.any_of(checking.in_system_of(at_hand, c, abstract=abstract) for c in codings))
    system = parsed(told)
    codings = [c for c in _codings(ask, system.url, "version") if c.system == system.url]
    return _found(checking.any_of(checking.in_system(system, c, abstract=abstract) for c in codings))


def _found(finding: Finding) -> bytes:
    rows: Rows = [("result", "Boolean", finding.result), ("message", "String", finding.message)]
    return _parameters([*rows, ("display", "String", finding.display)])


# -- $lookup, $subsumes -----------------------------------------------------------------------------


@_offered(
    "lookup",
    on=("CodeSystem",),
    levels={"type"},
    definition=DEFINITION + "CodeSystem-lookup",
    inputs=(
        In("code", "code"), In("system", "uri"), In("version", "string"), In("coding", "Coding"),
        In("displayLanguage", "code"), In("property", "code", max=None),
    ),
)  # fmt: skip
def lookup(records: Records, ask: Ask) -> bytes:
    """What a code system says of a code."""
    coded = _codings(ask, ask.one("system"), "version")[0]
    at_hand = _at_hand(records)
    system = at_hand.supplemented(at_hand.code_system(coded.system, coded.version))
    concept = system.concept(coded.code)
    display = expansion.display_in(ask.one("displayLanguage", ""), concept.display, concept.designations)
    head: Rows = [("name", "String", system.name), ("version", "String", system.version)]
    rows = _rows([*head, ("display", "String", display)])
    wanted = ask.many("property")
    if not wanted or "designation" in wanted:
        rows += [_designation(row) for row in concept.designations]
    rows += [_property(*row) for row in _properties(system, concept) if not wanted or row[0] in wanted]
    return body.write({"resourceType": "Parameters", "parameter": rows})


def _designation(told: Any) -> dict[str, Any]:
    parts = _rows([("language", "Code", told.get("language")), ("value", "String", told.get("value"))])
    if isinstance(told.get("use"), dict):
        parts.insert(-1, {"name": "use", "valueCoding": told["use"]})
    return {"name": "designation", "part": parts}


def _properties(system: CodeSystem, concept: Concept) -> Rows:
    """(code, data type, value) of everything a concept says of itself, and of its place."""
    rows: Rows = [("definition", "String", concept.definition)] if concept.definition else []
    rows += [("parent", "Code", code) for code in system.parents.get(concept.code, ())]
    rows += [("child", "Code", code) for code in system.children.get(concept.code, ())]
    rows.append(("inactive", "Boolean", concept.inactive))
    for row in concept.told.get("property", []):
        key = next((k for k in row if k.startswith("value")), "")
        if key and row.get("code") not in ("parent", "child", "inactive", "subsumedBy"):
            rows.append((row["code"], key.removeprefix("value"), row[key]))
    return rows


def _property(code: str, kind: str, value: Any) -> dict[str, Any]:
    return {"name": "property", "part": [{"name": "code", "valueCode": code}, {"name": "value", f"value{kind}": value}]}


@_offered(
    "subsumes",
    on=("CodeSystem",),
    levels=TYPE_AND_INSTANCE,
    definition=DEFINITION + "CodeSystem-subsumes",
    inputs=(
        In("codeA", "code"), In("codeB", "code"), In("system", "uri"), In("version", "string"),
        In("codingA", "Coding"), In("codingB", "Coding"),
    ),
)  # fmt: skip
def subsumes(records: Records, ask: Ask) -> bytes:
    """How two codes of one code system stand to each other."""
    at_hand, told = _place(records, ask, "CodeSystem", url="system", version="version", or_none=True)
    a, b = _one_of_two(ask, "A", told), _one_of_two(ask, "B", told)
    if a.system != b.system:
        raise refused("codingB", "二つのコードのコード体系が違います。The codes are of two code systems.")
    system = parsed(told) if told is not None else at_hand.code_system(a.system, a.version)
    return _parameters([("outcome", "Code", checking.subsumption(system, a.code, b.code))])


def _one_of_two(ask: Ask, letter: str, told: Resource | None) -> Coded:
    coding = ask.one(f"coding{letter}")
    if coding is None:
        if (code := ask.one(f"code{letter}")) is None:
            raise refused(f"code{letter}", "必要な引数がありません。This parameter is required.", "required")
        system = str(told.get("url", "")) if told is not None else ask.one("system")
        coding = {"system": system, "code": code, "version": ask.one("version")}
    return _coded(coding, f"coding{letter}")


# -- $translate ---------------------------------------------------------------------------------------


@_offered(
    "translate",
    on=("ConceptMap",),
    levels=TYPE_AND_INSTANCE,
    definition=DEFINITION + "ConceptMap-translate",
    inputs=(
        In("url", "uri"), In("conceptMap", "ConceptMap"), In("conceptMapVersion", "string"), In("code", "code"),
        In("system", "uri"), In("version", "string"), In("source", "uri"), *_CODED, In("target", "uri"),
        In("targetsystem", "uri"), In("dependency", "part", max=None), In("reverse", "boolean"),
    ),
)  # fmt: skip
def translate(records: Records, ask: Ask) -> bytes:
    """What a code, a coding or a concept becomes elsewhere."""
    at_hand, told = _place(records, ask, "ConceptMap", "conceptMap", version="conceptMapVersion", or_none=True)
    found: list[mapping.Match] = []
    for coded in _codings(ask, ask.one("system"), "version"):
        maps = [told] if told is not None else list(at_hand.concept_maps(coded.system))
        question = mapping.Question(
            coded.system, coded.code, ask.one("targetsystem"), ask.one("reverse", False), _dependencies(ask)
        )
        suited = mapping.suited(maps, source=ask.one("source"), target=ask.one("target"))
        found += mapping.translations(at_hand, suited, question)
    result = any(match.equivalence not in mapping.NO_MATCH for match in found)
    rows = _rows([("result", "Boolean", result), ("message", "String", None if found else _NO_MAP)])
    return body.write({"resourceType": "Parameters", "parameter": rows + [_match(m) for m in found]})


_NO_MAP = "対応するコードはありません。No match among the maps at hand."


def _dependencies(ask: Ask) -> dict[str, str]:
    """element -> value of what the question depends on (R4 $translate, dependency)."""
    found: dict[str, str] = {}
    for parts in ask.many("dependency"):
        told = {part["name"]: next((v for k, v in part.items() if k.startswith("value")), None) for part in parts}
        concept = told.get("concept")
        codings = concept.get("coding", []) if isinstance(concept, dict) else []
        if codings:
            found[str(told.get("element"))] = str(codings[0].get("code", ""))
    return found


def _match(match: mapping.Match) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"name": "equivalence", "valueCode": match.equivalence}]
    if match.concept is not None:
        parts.append({"name": "concept", "valueCoding": match.concept})
    for element, coding in match.products:
        inner = [{"name": "element", "valueUri": element}, {"name": "concept", "valueCoding": coding}]
        parts.append({"name": "product", "part": inner})
    if match.source:
        parts.append({"name": "source", "valueUri": match.source})
    return {"name": "match", "part": parts}


# -- what they share ----------------------------------------------------------------------------------


def _at_hand(records: Records) -> Library:
    return terminology.library().and_last(Kept(records))


def _place(
    records: Records,
    ask: Ask,
    kind: Kind,
    inline: str = "",
    *,
    url: str = "url",
    version: str = "valueSetVersion",
    or_none: bool = False,
) -> tuple[Library, Any]:
    """What is at hand, and the definition meant: by its id, sent along, or by its URL. Raises Problem (400), Unknown …

    `or_none`: None where none is named.
    """
    at_hand = _at_hand(records)
    if ask.id is not None:
        admitted(records, kind, "r")
        return at_hand, resource(records.read(kind, ask.id).body)
    if (sent := ask.one(inline) if inline else None) is not None:
        if problems := [p for p in validate.check(sent) if p.severity in ("fatal", "error")]:
            raise Invalid(problems)
        return at_hand, sent
    if (named := ask.one(url)) is not None:
        return at_hand, at_hand.resource(kind, named, ask.one(version))
    if or_none:
        return at_hand, None
    raise refused(url, f"{kind} を url か id で指定してください。Name the {kind} by url or id.", "required")


def _codings(ask: Ask, system: str | None, version: str) -> list[Coded]:
    """The codings asked about: `code` with `system`, `coding` or `codeableConcept`. Raises Problem (400)."""
    given = [name for name in ("code", "coding", "codeableConcept") if ask.one(name) is not None]
    if len(given) != 1:
        text = "code, coding, codeableConcept のうち一つを送ってください。Send one of code, coding, codeableConcept."
        raise refused("code", text, "required" if not given else "invalid")
    match given[0]:
        case "code":
            told = {"system": system, "code": ask.one("code")}
            return [_coded(told | {"version": ask.one(version), "display": ask.one("display")}, "code")]
        case "coding":
            return [_coded(ask.one("coding"), "coding")]
    codings = ask.one("codeableConcept").get("coding", [])
    if not codings:
        raise refused("codeableConcept", "coding がありません。It has no coding.")
    return [_coded(coding, "codeableConcept") for coding in codings]


def _coded(coding: Any, name: str) -> Coded:
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str) or not isinstance(code, str):
        raise refused(name, "system と code が要ります。Both a system and a code are needed.", "required")
    return Coded(system, code, coding.get("version"), coding.get("display"))


def _rows(values: Rows) -> list[dict[str, Any]]:
    """Parameters with simple values; None leaves one out."""
    return [{"name": name, f"value{kind}": value} for name, kind, value in values if value is not None]


def _parameters(values: Rows) -> bytes:
    return body.write({"resourceType": "Parameters", "parameter": _rows(values)})
