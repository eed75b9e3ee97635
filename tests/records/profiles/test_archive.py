"""Packages that nobody vouches for: read whole, or refused with the name of the file at fault."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.records.profiles import archive
from phr.records.profiles.archive import Unloadable
from tests.records.profiles.archives import NAMED, VALUE_SET, member, packed


def test_a_package_is_read() -> None:
    found = archive.read(packed({
        "ValueSet-v.json": VALUE_SET,
        "example/ValueSet-x.json": VALUE_SET | {"url": "http://example.org/x"},
        ".index.json": {"index-version": 1, "files": []},
        "NamingSystem-n.json": {"resourceType": "NamingSystem", "id": "n"},
        "openapi/x.openapi.json": b"not json",
        "other.txt": b"text",
    }))  # fmt: skip
    assert (found.name, found.version) == ("example.guide", "1.0.0")
    assert [(f.file, f.type, f.url, f.version) for f in found.found] == [
        ("ValueSet-v.json", "ValueSet", "http://example.org/ValueSet/v", "1.0.0")
    ]


def test_a_resource_keeps_its_own_version() -> None:
    [found] = archive.read(packed({"v.json": VALUE_SET | {"version": "2.1"}})).found
    assert found.version == "2.1"


def link(kind: bytes) -> bytes:
    return packed({}, member("package/evil.json", type=kind, link="/etc/passwd"))


@pytest.mark.parametrize(
    ("content", "file", "why"),
    [
        (b"", "archive", "archive"),
        (b"not a gzip", "archive", "gzip"),
        (gzip.compress(b"not a tar" * 200, mtime=0), "archive", "tar"),
        (packed({"v.json": VALUE_SET})[:-40], "archive", ""),
        (packed({"../../etc/x.json": VALUE_SET}), "../../etc/x.json", "leads out"),
        (packed({}, member("/etc/cron.d/x.json", b"{}")), "/etc/cron.d/x.json", "leads out"),
        (packed({}, member("package/../../x.json", b"{}")), "package/../../x.json", "leads out"),
        (packed({}, member("package\\..\\x.json", b"{}")), "package", "leads out"),
        (link(tarfile.SYMTYPE), "package/evil.json", "links"),
        (link(tarfile.LNKTYPE), "package/evil.json", "links"),
        (link(tarfile.FIFOTYPE), "package/evil.json", "special"),
        (link(tarfile.CHRTYPE), "package/evil.json", "special"),
        (packed({"v.json": b"{bad"}), "v.json", "JSON"),
        (packed({"v.json": b"[1]"}), "v.json", "object"),
        (packed({"v.json": b'{"a":1,"a":2}'}), "v.json", "twice"),
        (packed({"v.json": b'{"a":' + b"[" * 90 + b"]" * 90 + b"}"}), "v.json", "deep"),
        (packed({"v.json": b"\xff\xfe"}), "v.json", ""),
        (packed({"v.json": VALUE_SET | {"resourceType": "Nonsense"}}), "v.json", "resourceType"),
        (packed({"v.json": VALUE_SET | {"url": 7}}), "v.json", "url"),
        (packed({"v.json": VALUE_SET | {"url": "http://x|1"}}), "v.json", "url"),
        (packed({"v.json": VALUE_SET | {"version": 1.5}}), "v.json", "version"),
        (packed({"a.json": VALUE_SET, "b.json": VALUE_SET}), "b.json", "twice"),
        (packed({"v.json": VALUE_SET}, member("package/v.json", b"{}")), "v.json", "this name"),
        (packed(name="../evil"), "package.json", "name"),
        (packed(name=None), "package.json", "name"),
        (packed(version="1 0"), "package.json", "version"),
        (packed(fhirVersions=["5.0.0"]), "package.json", "R4"),
        (packed({"package.json": b"[]"}), "package.json", "object"),
    ],
)  # fmt: skip
def test_hostile_packages_are_refused_by_name(content: bytes, file: str, why: str) -> None:
    with pytest.raises(Unloadable) as refused:
        archive.read(content)
    assert str(refused.value).startswith(file)
    assert why in str(refused.value)


def test_a_package_without_package_json_is_none() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as made:
        info, data = member("package/v.json", b"{}")
        made.addfile(info, io.BytesIO(data))
    with pytest.raises(Unloadable, match=r"package/package\.json"):
        archive.read(out.getvalue())


def test_a_bomb_is_stopped_before_it_unfolds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_CONTENT", 1_000_000)
    bomb = packed({"v.json": VALUE_SET, "other/zeros.bin": b"\0" * 30_000_000})
    assert len(bomb) < 100_000
    with pytest.raises(Unloadable, match="larger than 1000000"):
        archive.read(bomb)


def test_a_header_that_lies_about_its_size_is_refused() -> None:
    info = tarfile.TarInfo("package/v.json")
    info.size = archive.MOST_FILE + 1
    header = info.tobuf()
    with pytest.raises(Unloadable, match="Larger than"):
        archive.read(gzip.compress(header + b"\0" * 10240))


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_FILES", 5)
    with pytest.raises(Unloadable, match="More than 5 files"):
        archive.read(packed({f"{n}.txt": b"" for n in range(9)}))


@given(st.binary(max_size=300), st.integers(min_value=0, max_value=400))
def test_damaged_archives_are_refused_or_read(noise: bytes, at: int) -> None:
    sound = packed({"v.json": VALUE_SET})
    damaged = sound[:at] + noise + sound[at + len(noise) :]
    try:
        found: Any = archive.read(damaged)
    except Unloadable:
        return
    assert found.name == NAMED["name"]
