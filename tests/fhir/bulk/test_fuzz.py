"""Whatever is asked for or brought in: a clear refusal or an answer, never a 500."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phr.fhir.bulk import running
from phr.populate.cast import OBSTETRIC
from phr.records.jobs import ExportJob
from tests.family import YUKI, Neighbourhood, encoded, pressure, rows
from tests.fhir.bulk.exports import job_of, kick_off

FIXTURES = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
NAMES = ["_type", "_since", "_until", "_typeFilter", "_elements", "_outputFormat", "includeAssociatedData", "patient",
         "allowPartialManifests", "organizeOutputBy", "_format", "x"]  # fmt: skip
PIECES = ["Observation", "Patient", "?", "=", "&", ",", "|", ":", "code", "8480-6", "date", "ge2020", "_has:", "_sort",
          "status", "final", ".", "\\", "\x00", "%", "é", "\ud800", "2026-01-01T00:00:00Z", "ndjson", "true", "+", "-",
          "Observation?code=8480-6", "subject:Patient.name", "_filter=status eq final", "(", ")", "$", "*"]  # fmt: skip
values = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
asked = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=4)
places = st.sampled_from(["$export", "Patient/$export", "Group/x/$export", "Observation/$export", "Patient/1/$export"])
preferences = st.sampled_from(
    ["respond-async", "respond-async, handling=lenient", "", "handling=lenient;respond-async"]
)


@settings(max_examples=150, suppress_health_check=FIXTURES)
@given(place=places, pairs=asked, prefer=preferences, post=st.booleans())
def test_kick_offs(family: Neighbourhood, place: str, pairs: list[tuple[str, str]], prefer: str, post: bool) -> None:
    body = None
    if post:
        told = [{"name": name, "valueString": value.encode("utf-8", "replace").decode()} for name, value in pairs]
        body = {"resourceType": "Parameters", "parameter": told} if told else {"resourceType": "Parameters"}
    query = "" if post else "?" + urlencode(pairs, errors="surrogatepass")
    answer = kick_off(family.clinic, place + query, body, Prefer=prefer)
    assert answer.status < 500, answer
    if answer.status != 202:
        assert answer.issue["severity"] == "error"
        return
    id = job_of(answer)
    running.run(id, clock=running_clock)
    assert ExportJob.objects.get(pk=id).state == "done"
    assert family.clinic.get(answer.headers["Content-Location"]).status == 200
    ExportJob.objects.all().delete()


def running_clock() -> Any:
    from django.utils import timezone

    return timezone.now()


jsons = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=5), st.just(f"Patient/{YUKI}")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["resourceType", "id", "meta", "status", "code", "subject", "reference", "x", "_id"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
shaped = st.dictionaries(
    st.sampled_from(["status", "code", "subject", "meta", "id", "value", "effectiveDateTime"]), jsons
)
lines = st.one_of(
    st.binary(max_size=40),
    jsons.map(encoded),
    shaped.map(lambda change: encoded({**pressure(id="a1"), **change})),
    shaped.map(lambda change: encoded({"resourceType": "Patient", "id": str(YUKI), **change})),
)


@pytest.mark.django_db
@settings(max_examples=120, suppress_health_check=FIXTURES)
@given(content=st.lists(lines, max_size=6))
def test_lines(family: Neighbourhood, tmp_path: Path, content: list[bytes]) -> None:
    before = rows()["phr_resource"]
    file = tmp_path / "x.ndjson"
    file.write_bytes(b"\n".join(content))
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("ingest", str(file), organization=OBSTETRIC.code, processes=1, stdout=out, stderr=err, again=True)
    except CommandError as error:
        assert "refused" in str(error)  # noqa: PT017
        assert "x.ndjson:" in err.getvalue()
    assert rows()["phr_resource"] - before == int("created 1" in out.getvalue())
