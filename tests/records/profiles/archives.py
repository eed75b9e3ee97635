"""Packages for tests, made in memory."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

NAMED = {"name": "example.guide", "version": "1.0.0", "fhirVersions": ["4.0.1"]}
VALUE_SET = {"resourceType": "ValueSet", "id": "v", "url": "http://example.org/ValueSet/v", "status": "draft"}


def packed(files: Mapping[str, Any] | None = None, *members: tuple[tarfile.TarInfo, bytes], **named: Any) -> bytes:
    """A .tgz: package.json and `files` (path -> JSON, or bytes as they are) in package/, then `members` as they are."""
    whole = {"package.json": NAMED | named} | dict(files or {})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, content in whole.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            info = tarfile.TarInfo(
                path if "/" in path and path.startswith(("package/", "/", "..")) else f"package/{path}"
            )
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(
    name: str, data: bytes = b"", *, type: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = type, len(data), link
    return info, data
