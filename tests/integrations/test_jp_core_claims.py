"""What the importers make of the sample files, against the profiles it claims: JP Core 1.2.0, where it lies at hand.

The package is not shipped with the project: tests/published.py says where it is looked for.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integrations.home.parse import read
from integrations.home.samples import Sample
from integrations.school import connector as school
from phr.records import body
from phr.records.profiles import conform, judging, packages
from tests import published
from tests.integrations.home import test_parse as home
from tests.integrations.school import test_school as pupils

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 1, tzinfo=UTC)
GOLDEN = Path(__file__).parents[1] / "golden"
Resource = dict[str, Any]
# The sample of a diagnosis has a modifier code of its own invention: one that MEDIS has given out stands in for it.
INVENTED, GIVEN_OUT = b'"9999"', b'"7572"'
FILED = {"municipal": "*.fhir.json", "receipts": "*.fhir.json", "jahis": "*.fhir.json", "ssmix2": "fhir/*.json"}


def inside(told: Any) -> Iterator[Resource]:
    """Every resource in a golden file, whatever it is wrapped in."""
    if isinstance(told, dict) and "resourceType" in told and told["resourceType"] != "Bundle":
        yield told
    else:
        for part in told.values() if isinstance(told, dict) else told if isinstance(told, list) else ():
            yield from inside(part)


def made(source: str) -> list[Resource]:
    match source:
        case "home":
            exports = ((home.XML, True), (home.CONNECT, False), (home.KIT, False))
            found = [one for data, xml in exports for one in read(io.BytesIO(data), xml=xml)]
            return [home.mapped(one) for one in found if isinstance(one, Sample)]
        case "school":
            items = pupils.items(pupils.GOLDEN)
            return [r for item in items for r in school.resources(item, about=pupils.ABOUT).resources]
    files = [path.read_bytes() for path in sorted((GOLDEN / source).glob(FILED[source]))]
    return [r for data in files for r in inside(body.parse(b'{"all":%s}' % data))]


def test_what_each_importer_makes_meets_what_it_claims() -> None:
    file = published.jp_core()
    packages.forget()
    packages.load(file.read_bytes(), now=NOW)
    claims: Counter[str] = Counter()
    told: Counter[tuple[str, str, str, str]] = Counter()
    for source in (*FILED, "home", "school"):
        resources = made(source)
        assert resources, source
        for resource in resources:
            claims[source] += sum("jpfhir.jp" in claim for claim in conform.claims_of(resource))
            plain = body.parse(body.write(resource).replace(INVENTED, GIVEN_OUT))
            for p in judging.findings(plain, now=NOW):
                if p.severity in ("error", "fatal"):
                    told[source, resource["resourceType"], str(p.expression), p.diagnostics] += 1
    packages.forget()
    assert told == Counter()
    assert all(claims[source] for source in FILED), claims
