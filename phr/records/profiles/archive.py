"""Reading a FHIR NPM package (.tgz) that nobody vouches for. Pure: bytes in, resources out.

Read are `package/package.json` and the `*.json` files that lie directly in `package/` and are canonical
resources (they have a `url`); `.index.json`, examples and other folders are not needed. Nothing is unpacked to
disk. Source: confluence.hl7.org "NPM Package Specification"; npm package.json.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, Final

from phr.records import body, definitions

MOST_ARCHIVE: Final = 256 * 1024 * 1024  # bytes of the archive
MOST_CONTENT: Final = 512 * 1024 * 1024  # bytes of everything in it
MOST_FILE: Final = 64 * 1024 * 1024  # bytes of one file
MOST_FILES: Final = 50_000
_NAME = re.compile(r"(@[a-z0-9~-][a-z0-9._~-]*/)?[a-zA-Z0-9~-][a-zA-Z0-9._~-]*\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}\Z")
_URL = re.compile(r"\S{1,1000}\Z")


class Unloadable(Exception):
    """The package cannot be loaded; the message names the file within it (Japanese, then English)."""

    def __init__(self, where: str, japanese: str, english: str) -> None:
        shown = ascii(where[:200])[1:-1] if not where.isprintable() else where[:200]
        super().__init__(f"{shown}: {japanese} {english}")


@dataclass(frozen=True, slots=True)
class Found:
    """One canonical resource of a package, and the file it came from."""

    file: str
    type: str
    url: str
    version: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """What a package holds. `digest`: SHA-256 of the archive, hexadecimal; `needs`: names of packages it builds on."""

    name: str
    version: str
    digest: str
    needs: tuple[str, ...]
    found: tuple[Found, ...]


class _Counted:
    """The decompressed archive as a stream that ends with Unloadable where a bomb would begin."""

    def __init__(self, packed: bytes) -> None:
        self._packed = memoryview(packed)
        self._at = 0
        self._total = 0
        self._unzip = zlib.decompressobj(wbits=31)

    def read(self, size: int = -1) -> bytes:
        parts = bytearray()
        while len(parts) < size and not self._unzip.eof:
            tail = self._unzip.unconsumed_tail
            fresh = b"" if tail else bytes(self._packed[self._at : self._at + 65536])
            self._at += len(fresh)
            if not tail and not fresh:
                raise Unloadable("archive", "途中で切れています。", "The archive ends too early.")
            parts += self._unzip.decompress(tail or fresh, size - len(parts))
        self._total += len(parts)
        if self._total > MOST_CONTENT:
            raise Unloadable(
                "archive", "展開すると大きすぎます。", f"Unpacked, it is larger than {MOST_CONTENT} bytes."
            )
        return bytes(parts)


def read(packed: bytes) -> Contents:
    """The contents of a package. Raises Unloadable, naming the file that is at fault."""
    if len(packed) > MOST_ARCHIVE:
        raise Unloadable("archive", "大きすぎます。", f"The archive is larger than {MOST_ARCHIVE} bytes.")
    files: dict[str, bytes] = {}
    try:
        for name, content in _files(packed):
            if name in files:
                raise Unloadable(name, "同じ名前のファイルが二つあります。", "Two files have this name.")
            files[name] = content
    except (tarfile.TarError, zlib.error, EOFError, OverflowError, ValueError) as error:
        text = "gzip で圧縮した tar ではありません。"
        raise Unloadable("archive", text, f"Not a gzip'ed tar archive ({type(error).__name__}).") from None
    told = _json("package.json", files["package.json"]) if "package.json" in files else {}
    name, version = _named(files, told)
    needs = told.get("dependencies")
    found = tuple(_canonicals(files, version))
    seen: set[tuple[str, str, str]] = set()
    for each in found:
        key = (each.type, each.url, each.version)
        if key in seen:
            raise Unloadable(each.file, "同じ url と版の資源が二つあります。", f"{each.url} stands twice.")
        seen.add(key)
    base = tuple(needs) if isinstance(needs, dict) else ()
    return Contents(name, version, hashlib.sha256(packed).hexdigest(), base, found)


def _files(packed: bytes) -> Iterator[tuple[str, bytes]]:
    """The JSON files directly in package/, by name. Every member is checked, wanted or not."""
    stream: IO[bytes] = _Counted(packed)  # type: ignore[assignment]
    with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
        for count, member in enumerate(archive):
            _check_member(member, count)
            path = PurePosixPath(member.name)
            wanted = path.parent == PurePosixPath("package") and path.suffix == ".json" and path.name[:1] != "."
            if not member.isfile() or not wanted:
                archive.members.clear()  # type: ignore[attr-defined]  # else every header stays in memory
                continue
            file = archive.extractfile(member)
            yield path.name, file.read() if file else b""


def _check_member(member: tarfile.TarInfo, count: int) -> None:
    if count >= MOST_FILES:
        raise Unloadable(member.name, "ファイルが多すぎます。", f"More than {MOST_FILES} files.")
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise Unloadable(member.name, "外を指す名前です。", "The name leads out of the package.")
    if not (member.isreg() or member.isdir()):
        raise Unloadable(
            member.name, "リンクや特殊ファイルは使えません。", "Neither links nor special files are allowed."
        )
    if member.size > MOST_FILE:
        raise Unloadable(member.name, "ファイルが大きすぎます。", f"Larger than {MOST_FILE} bytes.")


def _named(files: dict[str, bytes], told: dict[str, Any]) -> tuple[str, str]:
    """Name and version from package.json, which must be one for R4."""
    if "package.json" not in files:
        raise Unloadable("package/package.json", "ありません。", "Missing: this is no FHIR package.")
    name, version = told.get("name"), told.get("version")
    if not isinstance(name, str) or not _NAME.match(name) or len(name) > 214:
        raise Unloadable("package.json", "name が正しくありません。", "`name` is missing or no package name.")
    if not isinstance(version, str) or not _VERSION.match(version):
        raise Unloadable("package.json", "version が正しくありません。", "`version` is missing or no version.")
    releases = told.get("fhirVersions") or told.get("fhir-version-list") or []
    if not isinstance(releases, list) or (releases and not any(str(r).startswith("4.0") for r in releases)):
        raise Unloadable("package.json", "R4 のパッケージではありません。", "Not a package for FHIR R4 (4.0).")
    return name, version


def _canonicals(files: dict[str, bytes], package_version: str) -> Iterator[Found]:
    """The canonical resources among the files; other JSON files are left out."""
    for file in sorted(files):
        if file == "package.json":
            continue
        resource = _json(file, files[file])
        kind, url = resource.get("resourceType"), resource.get("url")
        if kind is None or url is None:
            continue
        if kind not in definitions.concrete_types():
            raise Unloadable(file, "R4 にない型です。", "Its resourceType is not one of R4.")
        version = resource.get("version", package_version)
        if not isinstance(url, str) or not _URL.match(url) or "|" in url:
            raise Unloadable(file, "url が正しくありません。", "`url` is no canonical URL.")
        if not isinstance(version, str) or not 0 < len(version) <= 64 or not version.isprintable():
            raise Unloadable(file, "version が正しくありません。", "`version` is no version.")
        yield Found(file, kind, url, version, files[file])


def _json(file: str, content: bytes) -> dict[str, Any]:
    try:
        return body.received(content.removeprefix(b"\xef\xbb\xbf"))
    except body.Malformed as error:
        raise Unloadable(file, "JSON として読めません。", f"Cannot be read: {error}.") from None
