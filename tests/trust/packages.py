"""Packages as tests look into them."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.http import HttpResponse

from tests.family import App


@dataclass
class Opened:
    """A package that is whole: every file is as its manifest says."""

    files: dict[str, bytes]
    manifest: dict[str, Any]

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[name].splitlines()]

    @property
    def everything(self) -> bytes:
        return b"\n".join(self.files.values())


def asked(app: App, path: str) -> HttpResponse:
    headers = {"authorization": f"Bearer {app.token}"}
    return app.http.get(f"/api/trust/{path}", headers=headers)  # type: ignore[return-value]


def content_of(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def opened(content: bytes) -> Opened:
    with zipfile.ZipFile(io.BytesIO(content)) as zip:
        files = {name: zip.read(name) for name in zip.namelist()}
    manifest = json.loads(files["manifest.json"])
    named = {entry["name"]: entry for entry in manifest["files"]}
    assert set(named) | {"manifest.json"} >= set(files)
    for name, entry in named.items():
        assert sha256(files[name]).hexdigest() == entry["sha256"], name
        if name.endswith(".ndjson"):
            assert files[name].count(b"\n") == entry["rows"], name
    return Opened(files, manifest)


def package(app: App, path: str) -> Opened:
    response = asked(app, path)
    assert response.status_code == 200, response.content
    return opened(content_of(response))
