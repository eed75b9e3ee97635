"""Measurements from phones, read: golden files, exact units, hostile input (integrations/home)."""

from __future__ import annotations

import io
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.home import mapping, parse
from integrations.home.samples import Gone, Passed, Sample, moment, number, unit_of
from integrations.problems import Problem, Unreadable
from phr.populate.cast import YUKI
from phr.records import validate
from phr.records.systems import OWN_ITEM
from tests.family import encoded

GOLDEN = Path(__file__).parents[2] / "golden" / "home"
XML, CONNECT, KIT = ((GOLDEN / name).read_bytes() for name in ("export.xml", "health-connect.json", "healthkit.json"))


def read(content: bytes, *, xml: bool = False) -> list[Any]:
    return list(parse.read(io.BytesIO(content), xml=xml))


def mapped(sample: Sample) -> dict[str, Any]:
    made = mapping.observation(sample, subject=YUKI, by_herself=True, born=date(1992, 2, 3))
    assert validate.check(made.resource) == []
    return made.resource


def told(found: list[Any]) -> list[tuple[str, str, str]]:
    """(code, value or component values, unit) of each sample, in order."""
    out = []
    for resource in map(mapped, (s for s in found if isinstance(s, Sample))):
        coding = resource["code"]["coding"]
        quantities = [c["valueQuantity"] for c in resource.get("component", [resource])]
        code = next((c["code"] for c in coding if c["system"] == OWN_ITEM), coding[0]["code"])
        out.append((code, "/".join(str(q["value"]) for q in quantities), quantities[0]["code"]))
    return out


def test_an_export_of_apple_health() -> None:
    found = read(XML, xml=True)
    assert told(found) == [
        ("home.weight", "52.4", "kg"),
        ("home.weight", "52.389918735", "kg"),  # 115.5 lb, exactly
        ("home.temperature", "37.2778", "Cel"),  # 99.1 °F has no end
        ("home.glucose", "5.3", "mmol/L"),
        ("home.pressure", "118/74", "mm[Hg]"),
        ("8480-6", "120", "mm[Hg]"),  # its other half is not there
    ]
    assert [p.kind for p in found if isinstance(p, Passed)] == ["HKQuantityTypeIdentifierStepCount"]
    [problem] = [p for p in found if isinstance(p, Problem)]
    assert (problem.code, problem.line) == ("bad-time", 31)


def test_records_of_health_connect() -> None:
    found = read(CONNECT)
    assert told(found) == [
        ("home.weight", "52.4", "kg"),
        ("home.pressure", "118.0/74.0", "mm[Hg]"),
        ("home.glucose", "95", "mg/dL"),
        ("home.temperature", "36.7", "Cel"),
        ("home.height", "158.5", "cm"),
    ]
    weight = mapped(found[0])
    assert weight["effectiveDateTime"] == "2026-03-02T07:00:00+09:00"
    assert weight["issued"] == "2026-03-01T22:00:05+00:00"
    assert weight["device"] == {"display": "Sample Scale"}


def test_samples_of_healthkit_and_of_our_own() -> None:
    found = read(KIT)
    assert told(found) == [
        ("home.weight", "52.40", "kg"),
        ("home.pressure", "118/74", "mm[Hg]"),
        ("home.fetal-movements", "10", "{count}"),
        ("home.head", "34.5", "cm"),
    ]
    period = mapped(found[2])["effectivePeriod"]
    assert period == {"start": "2026-03-01T20:00:00+09:00", "end": "2026-03-01T20:25:00+09:00"}


def test_what_was_measured_stands_beside_what_was_converted() -> None:
    pounds = mapped(next(s for s in read(XML, xml=True) if isinstance(s, Sample) and s.readings[0].unit == "[lb_av]"))
    extension = pounds["valueQuantity"]["extension"][0]
    assert extension["valueQuantity"] == {
        "value": Decimal("115.5"), "system": "http://unitsofmeasure.org", "code": "[lb_av]"
    }  # fmt: skip


def test_reading_again_gives_the_same_ids() -> None:
    for content, xml in ((XML, True), (CONNECT, False), (KIT, False)):
        once, again = ([mapped(s)["id"] for s in read(content, xml=xml) if isinstance(s, Sample)] for _ in range(2))
        assert once == again
        assert len(set(once)) == len(once)


ENTITIES = b"""<?xml version="1.0"?><!DOCTYPE HealthData [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>
<HealthData><Record type="&b;"/></HealthData>"""
EXTERNAL = b'<!DOCTYPE HealthData [<!ENTITY x SYSTEM "file:///etc/passwd">]><HealthData>&x;</HealthData>'
PARAMETER = b'<!DOCTYPE HealthData [<!ENTITY % p SYSTEM "http://127.0.0.1/x"> %p;]><HealthData/>'
UTF16 = '<?xml version="1.0" encoding="UTF-16"?><HealthData/>'.encode("utf-16")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"), (b"   ", "empty"), (ENTITIES, "entities"), (EXTERNAL, "entities"), (PARAMETER, "entities"),
        (b"<HealthData>", "not-xml"), (XML[:900], "not-xml"), (b"<html/>", "not-apple"), (b"\x00\x01", "not-xml"),
        (XML.replace(b"<Me", b"<Me<"), "not-xml"),
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused_whole(content: bytes, code: str) -> None:
    with pytest.raises(Unreadable) as error:
        read(content, xml=True)
    assert [p.code for p in error.value.problems] == [code]


@pytest.mark.parametrize("name", ["shift_jis", "rot13", "zlib_codec", "idna", "no-such-encoding"])
def test_an_encoding_that_cannot_be_read_is_refused(name: str) -> None:
    with pytest.raises(Unreadable):
        read(f'<?xml version="1.0" encoding="{name}"?><HealthData/>'.encode(), xml=True)


ATTRIBUTES = "<!DOCTYPE HealthData [" + "".join(f"<!ATTLIST R a{n} CDATA 'x'>" for n in range(2000)) + "]><HealthData/>"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<HealthData>" + b"<abcdefghij>" * 200_000, "too-deep"),
        (b"<HealthData>" + b'<Record type="' + b"x" * (3 << 20), "too-long"),
        (b"<HealthData>" + b"<!-- " + b"x" * (3 << 20), "too-long"),
        (b"<!-- -->" * 300_000, "too-long"),
        (b"<HealthData>" + b"".join(b"<a%d/>" % n for n in range(50_000)), "not-apple"),
        (ATTRIBUTES.encode(), "not-apple"),
    ],
    ids=["depth", "attribute", "comment", "prolog", "names", "declared"],
)
def test_what_would_fill_the_memory_is_refused_early(content: bytes, code: str) -> None:
    stream = io.BytesIO(content)
    with pytest.raises(Unreadable) as refused:
        list(parse.read(stream, xml=True))
    assert refused.value.problems[0].code == code
    assert stream.tell() < 3 << 20


def test_other_encodings_and_external_subsets_are_read_without_fetching() -> None:
    assert read(UTF16, xml=True) == []
    assert read(b'<!DOCTYPE HealthData SYSTEM "http://127.0.0.1:9/x.dtd"><HealthData/>', xml=True) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1", b'{"samples": 1}', b'{"samples": [], "source": ""}',
                                     b'{"samples": [], "source": 1}', b"[" * 100_000])  # fmt: skip
def test_what_is_no_list_is_refused_whole(content: bytes) -> None:
    with pytest.raises(Unreadable):
        read(content)


@pytest.mark.parametrize(
    ("sample", "code"),
    [
        (1, "not-a-sample"),
        ({"type": "weight", "startDate": "2026-03-01T07:00:00", "value": 1, "unit": "kg"}, "bad-time"),
        ({"type": "weight", "startDate": "2026-03-01T07:00:00Z", "value": "x", "unit": "kg"}, "no-value"),
        ({"type": "weight", "startDate": "2026-03-01T07:00:00Z", "value": True, "unit": "kg"}, "no-value"),
        ({"type": "weight", "startDate": "2026-03-01T07:00:00Z", "value": 1, "unit": "furlong"}, "no-unit"),
        ({"type": "weight", "startDate": "2026-03-01T07:00:00Z", "value": 1}, "no-unit"),
        ({"type": "weight", "startDate": "2026-03-01T07:00:00Z", "value": 1, "unit": "kg", "uuid": 5}, "bad-id"),
        (
            {"type": "weight", "startDate": "2026-03-01T07:00:00Z", "value": 1, "unit": "kg", "uuid": "x" * 201},
            "bad-id",
        ),
    ],
)
def test_one_bad_sample_falls_out_alone(sample: Any, code: str) -> None:
    good = {"type": "weight", "startDate": "2026-03-01T07:00:00Z", "value": 52, "unit": "kg"}
    found = read(encoded({"samples": [good, sample, good]}))
    assert [p.code for p in found if isinstance(p, Problem)] == [code]
    assert next(p for p in found if isinstance(p, Problem)).part == 2
    assert sum(isinstance(s, Sample) for s in found) == 2


def test_a_large_export_is_not_held() -> None:
    steps = b'<Record type="HKQuantityTypeIdentifierStepCount" startDate="x" value="1"/>'

    class Endless(io.RawIOBase):
        blocks = 0

        def read(self, size: int = -1) -> bytes:
            self.blocks += 1
            if self.blocks == 1:
                return b"<HealthData>"
            return steps * 800 if self.blocks < 200 else b"</HealthData>" if self.blocks == 200 else b""

    kinds = Counter(p.kind for p in parse.read(Endless(), xml=True) if isinstance(p, Passed))  # type: ignore[arg-type]
    assert kinds == {"HKQuantityTypeIdentifierStepCount": 198 * 800}


@settings(max_examples=150)
@given(st.data())
def test_mutilated_exports_are_read_or_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(XML) - 1))
    way = data.draw(st.sampled_from(["cut", "flip", "double", "insert"]))
    piece = data.draw(st.binary(min_size=1, max_size=6))
    content = {
        "cut": XML[:at], "flip": XML[:at] + bytes([XML[at] ^ piece[0]]) + XML[at + 1 :],
        "double": XML[:at] + XML[max(0, at - 40) :], "insert": XML[:at] + piece + XML[at:],
    }[way]  # fmt: skip
    try:
        found = read(content, xml=True)
    except Unreadable:
        return
    for one in found:
        if isinstance(one, Sample):
            try:
                mapped(one)
            except mapping.WrongUnit:
                pass


LEAF = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(
    ["2026-03-01T07:00:00Z", "kg", "+09:00", "1e99", "weight", "52.4", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
)  # fmt: skip
KEYS = st.sampled_from(["type", "recordType", "startDate", "time", "endDate", "value", "unit", "uuid", "metadata", "id",
                        "weight", "inKilograms", "systolic", "diastolic", "zoneOffset", "totalSeconds", "device",
                        "name",
                        "lastModifiedTime", "sourceName", "level"])  # fmt: skip
NODES = st.recursive(LEAF, lambda inner: st.dictionaries(KEYS, inner, max_size=6) | st.lists(inner, max_size=2))
TYPES = st.sampled_from(["Weight", "BloodPressure", "BloodGlucose", "fetal-movements", "Steps"])


@settings(max_examples=200)
@given(st.lists(st.builds(lambda node, kind: {**node, "type": kind} if isinstance(node, dict) else node, NODES, TYPES),
                max_size=4), NODES)  # fmt: skip
def test_whatever_an_app_sends_is_read_or_named(samples: list[Any], deleted: Any) -> None:
    for one in read(encoded({"samples": samples, "deleted": deleted})):
        assert isinstance(one, Sample | Gone | Passed | Problem)
        if isinstance(one, Sample):
            try:
                mapped(one)
            except mapping.WrongUnit:
                pass


@given(st.decimals(min_value=0, max_value=500, allow_nan=False, places=3))
def test_pounds_are_kilograms_to_the_last_digit(value: Decimal) -> None:
    content = {"samples": [{"type": "weight", "startDate": "2026-03-01T07:00:00Z", "value": value, "unit": "lb"}]}
    [sample] = read(encoded(content))
    got = mapped(sample)["valueQuantity"]["value"]
    assert abs(got - value * Decimal("0.45359237")) <= Decimal("0.00005")
    if value == value.quantize(Decimal(1)):
        assert got == value * Decimal("0.45359237")


def test_words_of_phones() -> None:
    assert unit_of("mmol<180.1558800000541>/L") == "mmol/L"
    assert number("52.40") == Decimal("52.40")
    assert [number(x) for x in ("", "1e999", "NaN", None, True, [], "９")] == [None] * 7
    assert moment("2024-01-05 07:12:33 +0900") == moment("2024-01-04T22:12:33Z")
    assert [moment(x) for x in ("", 1, "2024-01-05", "2024-13-05T00:00:00Z", "1800-01-01T00:00:00Z")] == [None] * 5
