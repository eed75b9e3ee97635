"""What R4 (and its neighbours) describe and this server does not do: each thing, how it is asked for, what is said.

`test_not_supported.py` asks for every one. What leaves this list must be served, tested and told in the
CapabilityStatement; what is added must be refused by name: nothing is ignored in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

JSON = "application/fhir+json"
PARAMETERS = b'{"resourceType":"Parameters"}'


@dataclass(frozen=True, slots=True)
class Item:
    """`section`: of R4 unless it says otherwise. `path` may name {observation} and {patient}, ids that exist.

    `status`, `says`: the answer's status and a part of its diagnostics. `why`: the reason, or what to do instead.
    """

    thing: str
    section: str
    path: str
    status: int
    says: str
    why: str
    method: str = "GET"
    body: bytes | None = None
    type: str = JSON
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    of_clinic: bool = False  # asked by an organisation's system, not by the mother

    def __str__(self) -> str:
        return self.thing


def _operation(name: str, place: str, section: str, why: str) -> Item:
    path = f"{place}/${name}" if place else f"${name}"
    return Item(f"${name}", section, path, 404, f"no operation ${name}", why, method="POST", body=PARAMETERS)


ELSEWHERE = "not part of a personal health record"

NOT_SUPPORTED = (
    # -- formats --
    Item("XML", "xml.html", "Observation?_format=xml", 406, "Only JSON", "JSON is what every client of today reads"),
    Item("XML by Accept", "xml.html", "Observation", 406, "Only JSON", "as above",
         headers={"Accept": "application/fhir+xml"}),
    Item("XML in a body", "xml.html", "Observation", 415, "application/fhir+json", "as above",
         method="POST", body=b"<Observation/>", type="application/fhir+xml"),
    Item("Turtle", "rdf.html", "Observation?_format=ttl", 406, "Only JSON", "as above"),
    Item("XML Patch", "http.html 3.1.0.6", "Observation/{observation}", 415, "application/json-patch+json",
         "JSON Patch and FHIRPath Patch say the same", method="PATCH", body=b"<diff/>",
         type="application/xml-patch+xml"),
    Item("JSON Merge Patch", "http.html 3.1.0.6", "Observation/{observation}", 415, "application/json-patch+json",
         "not a form of patch in R4", method="PATCH", body=b"{}", type="application/merge-patch+json"),
    Item("a Binary as raw bytes", "binary.html", "Binary", 415, "application/fhir+json",
         "send the Binary resource with its data in base64", method="POST", body=b"\x89PNG", type="image/png"),
    # -- interactions --
    Item("conditional delete of several", "http.html 3.1.0.7.1", "Observation?patient={patient}&status=final", 412,
         "match the condition", "conditionalDelete is `single`: nobody deletes a record by a slip", method="DELETE"),
    Item("new ids of any form", "http.html 3.1.0.4.1", "Observation/my-own-id", 405, "A new id of yours begins with",
         "hidden and absent ids must be alike: ids are given within a beginning of the client's own",
         method="PUT", body=b'{"resourceType":"Observation","id":"my-own-id","status":"final","code":{"text":"x"},'
         b'"subject":{"reference":"Patient/{patient}"}}'),
    Item("ids of new Patients", "http.html 3.1.0.4.1", "Patient/my-own-id", 405, "This server gives the ids",
         "a Patient's id is a person's", method="PUT", body=b'{"resourceType":"Patient","id":"my-own-id"}'),
    Item("delete of a Patient", "http.html 3.1.0.7", "Patient/{patient}", 405, "a procedure of its own",
         "it would close the record for everyone; a record is erased by a procedure of its own", method="DELETE"),
    Item("conditional delete of Patients", "http.html 3.1.0.7.1", "Patient?_id={patient}", 405,
         "a procedure of its own", "as above", method="DELETE"),
    Item("other Bundles than batch and transaction at the base", "http.html 3.1.0.11.4", "", 400,
         "batch or transaction", "a history or a document is not to be replayed: send what is meant as a transaction",
         method="POST", body=b'{"resourceType":"Bundle","type":"history"}'),
    Item("functions of FHIRPath that lead to no place, in a patch", "fhirpatch.html 3.1.5.1",
         "Observation/{observation}", 422, "combine() is not supported",
         "a patch needs places: names, indexes, where, ofType, extension, first, last",
         method="PATCH", body=b'{"resourceType":"Parameters","parameter":[{"name":"operation","part":['
         b'{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Observation.note.combine(x)"}]}]}'),
    Item("Subscription", "subscription.html", "Subscription", 422, "must name the Patient",
         "nothing is sent out unasked: an app asks _history?_since for what is new",
         method="POST", body=b'{"resourceType":"Subscription","status":"requested","reason":"x",'
         b'"criteria":"Observation","channel":{"type":"rest-hook","endpoint":"https://example.org"}}'),
    Item("_sort in a history", "http.html 3.1.0.9", "_history?_sort=_lastUpdated", 400, "_sort",
         "a history is newest first"),
    Item("_list in a history", "http.html 3.1.0.9", "_history?_list=x", 400, "_list",
         "read the List, and the history of each member"),
    # -- search --
    Item("search of contained resources", "search.html 3.1.1.5.7", "Observation?_contained=true", 400, "_contained",
         "contained resources are part of the sealed body"),
    Item("_containedType", "search.html 3.1.1.5.7", "Observation?_containedType=contained", 400, "_containedType",
         "as above"),
    Item("named queries (_query)", "search.html 3.1.1.5.10", "Observation?_query=x", 400, "_query", "none is defined"),
    Item("_score", "search.html 3.1.1.5.4", "Observation?_score=true", 400, "_score", "matches have no score"),
    Item("search by security label", "search.html 3.1.1.4.2", "Observation?_security=R", 400, "_security",
         "labels are shown to their writer only, so nobody may find them out"),
    Item(":phonetic and other modifiers R4 does not define", "search.html 3.1.1.4.4", "Patient?name:phonetic=x", 400,
         ":phonetic", "names meet by kana, width and variants of characters"),
    Item("_sort by a measured value", "search.html 3.1.1.5.1", "Observation?_sort=value-quantity", 400,
         "value-quantity", "what was measured has no legible order in the index"),
    Item("_sort by a reference", "search.html 3.1.1.5.1", "DiagnosticReport?_sort=result", 400, "result",
         "references stand as keyed hashes in the index"),
    Item("functional lists", "lifecycle.html 2.1.0.3", "Observation?_list=$current-problems", 400, "functional lists",
         "none is kept by the server; name a List by its id"),
    Item("_filter by a part of a code (`co`, `sw`, `ew`)", "search_filter.html", "Observation?_filter=code co x", 400,
         "is compared by", "codes stand as keyed hashes: eq, ne, in, ss, sb"),
    Item("_filter by a ValueSet of references (`in`)", "search_filter.html", "Observation?_filter=subject in x", 400,
         "is compared by", "a reference is compared by eq, ne, re; codes by in"),
    Item("_filter by overlap of what is no date (`po`)", "search_filter.html", "Observation?_filter=subject po x", 400,
         "is compared by", "dates only overlap"),
    Item("_sort by a number", "search.html 3.1.1.5.1", "RiskAssessment?_sort=probability", 400, "probability",
         "search by it (gt, lt), sort by date"),
    Item(":below on a canonical's versions", "search.html 3.1.1.4.9",
         "QuestionnaireResponse?questionnaire:below=http://example.org/q|1", 400, ":below",
         "canonicals stand as keyed hashes: ask for a version, or for any"),
    Item("chains through canonicals", "search.html 3.1.1.4.13", "PlanDefinition?definition.name=x", 400,
         "definition", "a canonical names no row; search the definition by its url"),
    Item("$everything in a summary", "Patient-operation-everything", "Patient/{patient}/$everything?_summary=true", 400,
         "_summary", "everything is whole; a search may be summed up"),
    Item("$everything by elements", "Patient-operation-everything", "Patient/{patient}/$everything?_elements=code", 400,
         "_elements", "as above"),
    Item("files of an export by resource (organizeOutputBy)", "bulkdata export", "$export?organizeOutputBy=Patient",
         400, "organizeOutputBy", "files are by type", headers={"Prefer": "respond-async"}, of_clinic=True),
    Item("_sort by a code", "search.html 3.1.1.5.1", "Observation?_sort=code", 400, "code",
         "codes stand as keyed hashes in the index"),
    Item("text inside clinical resources, over many records", "search.html 3.1.1.4.6",
         "Observation?value-string=x", 400, "patient",
         "such text is sealed: it is found by opening one person's candidates; name the patient", of_clinic=True),
    Item("_content of clinical resources, over many records", "search.html 3.1.1.4.15", "Observation?_content=x", 400,
         "patient", "as above", of_clinic=True),
    Item("SNOMED CT, LOINC below a code, without their packages", "terminologies-systems.html",
         "Condition?code:below=http://snomed.info/sct|404684003", 400, "http://snomed.info/sct",
         "their owners' terms: an operator loads them (manage.py load_ig)"),
    Item("value sets whose codes are not at hand", "search.html 3.1.1.4.5",
         "Condition?code:in=http://hl7.org/fhir/ValueSet/condition-code", 400, "snomed", "as above"),
    Item("`:in` a ValueSet that the record keeps", "search.html 3.1.1.4.5", "Condition?code:in=ValueSet/none", 400,
         "ValueSet/none", "searches draw on bundled and loaded definitions only; $validate-code asks one that is kept"),
    # -- operations of R4 that are not offered --
    _operation("closure", "", "ConceptMap-operations", "terminology is asked directly: $subsumes, :below"),
    _operation("find-matches", "CodeSystem", "CodeSystem-operations", ELSEWHERE),
    _operation("graphql", "", "graphql.html", "every read and search there is goes through one compiler"),
    _operation("convert", "", "Resource-operation-convert", "there is one format"),
    _operation("versions", "", "CapabilityStatement-operations", "this server speaks R4 only"),
    _operation("conforms", "CapabilityStatement", "CapabilityStatement-operations", ELSEWHERE),
    _operation("implements", "CapabilityStatement", "CapabilityStatement-operations", ELSEWHERE),
    _operation("subset", "CapabilityStatement", "CapabilityStatement-operations", ELSEWHERE),
    _operation("process-message", "", "messageheader-operations", "records arrive through connectors"),
    _operation("stats", "Observation", "observation-operations", ELSEWHERE),
    _operation("snapshot", "StructureDefinition", "structuredefinition-operations", "load_ig makes them when it loads"),
    _operation("questionnaire", "StructureDefinition", "structuredefinition-operations", ELSEWHERE),
    _operation("apply", "PlanDefinition/none", "plandefinition-operations", ELSEWHERE),
    _operation("apply", "ActivityDefinition/none", "activitydefinition-operations", ELSEWHERE),
    _operation("data-requirements", "PlanDefinition/none", "plandefinition-operations", ELSEWHERE),
    _operation("data-requirements", "Measure/none", "measure-operations", ELSEWHERE),
    _operation("data-requirements", "ActivityDefinition/none", "activitydefinition-operations", ELSEWHERE),
    _operation("data-requirements", "Library", "library-operations", ELSEWHERE),
    _operation("apply", "ChargeItemDefinition/none", "chargeitemdefinition-operations", ELSEWHERE),
    _operation("transform", "StructureMap", "structuremap-operations", ELSEWHERE),
    _operation("graph", "Observation/none", "resource-operations", "_include and _revinclude, as many as are needed"),
    _operation("evaluate-measure", "Measure", "measure-operations", ELSEWHERE),
    _operation("submit-data", "Measure", "measure-operations", ELSEWHERE),
    _operation("care-gaps", "Measure", "measure-operations", ELSEWHERE),
    _operation("collect-data", "Measure", "measure-operations", ELSEWHERE),
    _operation("submit", "Claim", "claim-operations", ELSEWHERE),
    _operation("submit", "CoverageEligibilityRequest", "coverageeligibilityrequest-operations", ELSEWHERE),
    _operation("everything", "Encounter/none", "encounter-operations", "Patient/$everything; compartment search"),
    _operation("everything", "MedicinalProduct", "medicinalproduct-operations", ELSEWHERE),
    _operation("everything", "Group/none", "group-operations", "Group/$export"),
    _operation("find", "List", "list-operations", "_list with the id of a List"),
    _operation("preferred-id", "NamingSystem", "namingsystem-operations", ELSEWHERE),
    _operation("merge", "Patient", "patient merge (R5)", "a person's record is joined by the municipality's desk"),
    # -- parameters of operations that are offered --
    Item("$expand in the context of an element", "ValueSet-operation-expand",
         "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender&context=x", 400, "context",
         "a context only leads to a ValueSet: ask for that by its url"),
    Item("$expand as of a date", "ValueSet-operation-expand",
         "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender&date=2020-01-01", 400, "date",
         "the definitions at hand are the present ones; name versions instead"),
)  # fmt: skip
