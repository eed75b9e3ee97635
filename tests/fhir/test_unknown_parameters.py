"""Parameters nobody knows, at every door alike (phr/fhir/decisions/parameters-nobody-knows.md)."""

from __future__ import annotations

import pytest

from phr.populate.cast import YUKI
from tests.family import Neighbourhood, pressure

SPEC = pytest.mark.spec
LISTS = ("Observation", "Observation/_history", "_history", f"Patient/{YUKI}/_history", f"Patient/{YUKI}/Observation")
ONES = (f"Patient/{YUKI}", f"Patient/{YUKI}/_history/1", "metadata")
CALLS = (f"Patient/{YUKI}/$everything", f"Patient/{YUKI}/$summary", f"Patient/{YUKI}/$meta",
         f"Observation/$lastn?patient={YUKI}&code=8480-6")  # fmt: skip


def _with(path: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}_foo=1"


@SPEC("FHIR R4", "search 3.1.1.3", "Prefer: handling=strict refuses what is not known, handling=lenient ignores it")
@pytest.mark.parametrize("path", [*LISTS, *ONES, *CALLS])
def test_the_header_counts_everywhere(family: Neighbourhood, path: str) -> None:
    family.mother.made(pressure())
    assert family.mother.get(_with(path), prefer="handling=lenient").status == 200
    refused = family.mother.get(_with(path), prefer="handling=strict")
    assert (refused.status, "_foo" in refused.issue["diagnostics"]) == (400, True), refused


@pytest.mark.parametrize("path", [*LISTS, *ONES, *CALLS])
def test_without_it_only_operations_are_strict(family: Neighbourhood, path: str) -> None:
    answer = family.mother.get(_with(path))
    assert answer.status == (400 if path in CALLS else 200), answer


@pytest.mark.parametrize("path", LISTS)
def test_the_link_to_itself_holds_only_what_counted(family: Neighbourhood, path: str) -> None:
    own = next(x["url"] for x in family.mother.get(_with(path)).json["link"] if x["relation"] == "self")
    assert "_foo" not in own


@pytest.mark.parametrize("path", [f"Patient/{YUKI}?_summary=nonsense", f"Patient/{YUKI}/_history?_count=x",
                                  "_history?_sort=date", "_history?_list=x", "Observation?_contained=true"]
)  # fmt: skip
def test_what_is_known_and_unreadable_is_refused_all_the_same(family: Neighbourhood, path: str) -> None:
    assert family.mother.get(path, prefer="handling=lenient").status == 400


# -- metadata, pretty and empty answers ---------------------------------------------------------------


@SPEC("FHIR R4", "3.1.0.10", "metadata takes the general parameters")
@pytest.mark.parametrize("mode", ["full", "normative", "terminology"])
def test_metadata_in_part(family: Neighbourhood, mode: str) -> None:
    whole = family.anonymous.get(f"metadata?mode={mode}")
    part = family.anonymous.get(f"metadata?mode={mode}&_elements=url")
    assert set(part.json) >= {"resourceType", "url", "status", "meta"} and "software" not in part.json
    assert "software" in whole.json and "meta" not in whole.json
    assert part.headers["ETag"] != whole.headers["ETag"]
    assert family.anonymous.get(f"metadata?mode={mode}&_summary=true").json["meta"]["tag"][0]["code"] == "SUBSETTED"


@pytest.mark.parametrize("query", ["mode=zip", "mode=", "mode=full&mode=terminology", "_summary=zip", "_summary=count"])
def test_metadata_otherwise(family: Neighbourhood, query: str) -> None:
    assert family.anonymous.get(f"metadata?{query}").status == 400


def test_metadata_that_is_known_already(family: Neighbourhood) -> None:
    tag = family.anonymous.get("metadata").headers["ETag"]
    for known in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        answer = family.anonymous.get("metadata", if_none_match=known)
        assert (answer.status, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    assert family.anonymous.get("metadata", if_none_match='W/"x"').status == 200
    assert family.anonymous.get("metadata?_summary=true", if_none_match=tag).status == 200


def test_what_has_no_content_has_no_type(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    place = f"Observation/{made['id']}"
    for answer in (
        family.mother.get(place, if_none_match='W/"1"'), family.anonymous.get("metadata", if_none_match="*"),
        family.mother.delete(place), family.anonymous.ask("OPTIONS", place),
    ):  # fmt: skip
        assert (answer.status in (204, 304), answer.content) == (True, b"")
        assert not {"Content-Type", "Content-Length"} & set(answer.headers)


@pytest.mark.parametrize(
    ("query", "spread"),
    [("_pretty=true", True), ("_pretty=%74rue", True), ("a=1&_pretty=true", True), ("_pretty=truely", False),
     ("x_pretty=true", False), ("a=_pretty=true", False), ("_pretty=false", False)],
)  # fmt: skip
def test_pretty_is_a_parameter(family: Neighbourhood, query: str, spread: bool) -> None:
    answer = family.mother.get(f"Patient/{YUKI}?{query}")
    assert answer.status == 200
    assert (b"\n  " in answer.content) is spread
