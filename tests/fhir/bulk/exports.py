"""Asking for an export over HTTP, running it as a worker would, and reading what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.utils import timezone

from phr.fhir.bulk import running
from tests.family import Answer, App, decoded, encoded

ASYNC = {"Prefer": "respond-async"}


@dataclass
class Exported:
    """A finished export: its address, manifest, and the lines of all files by kind and type."""

    url: str
    manifest: dict[str, Any]
    lines: dict[str, dict[str, list[bytes]]] = field(default_factory=dict)

    def resources(self, kind: str = "output") -> list[dict[str, Any]]:
        return [decoded(line) for lines in self.lines.get(kind, {}).values() for line in lines]

    def names(self) -> set[str]:
        return {f"{r['resourceType']}/{r['id']}" for r in self.resources()}

    def told(self) -> dict[str, Any]:
        """What a client learns, apart from its address and the moment."""
        counts = {k: [(f["type"], f["count"]) for f in self.manifest[k]] for k in ("output", "deleted", "error")}
        return {"counts": counts, "lines": self.lines}


def kick_off(app: App, path: str = "$export", body: Mapping[str, Any] | None = None, **headers: str) -> Answer:
    method, content = ("GET", None) if body is None else ("POST", encoded(body))
    return app.ask(method, path, content, headers={**ASYNC, **headers})


def job_of(answer: Answer) -> UUID:
    assert answer.status == 202, answer
    return UUID(answer.headers["Content-Location"].rsplit("/", 1)[1])


def parameters(**values: Any) -> dict[str, Any]:
    """A Parameters body: strings, instants and references."""
    listed = []
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            key = "valueReference" if isinstance(one, dict) else "valueString"
            listed.append({"name": name, key: one})
    return {"resourceType": "Parameters", "parameter": listed}


def exported(app: App, path: str = "$export", body: Mapping[str, Any] | None = None, **headers: str) -> Exported:
    accepted = kick_off(app, path, body, **headers)
    running.run(job_of(accepted), clock=timezone.now)
    return finished(app, accepted.headers["Content-Location"])


def finished(app: App, url: str) -> Exported:
    status = app.get(url)
    assert status.status == 200, status
    out = Exported(url, status.json)
    for kind in ("output", "deleted", "error"):
        for file in status.json[kind]:
            out.lines.setdefault(kind, {}).setdefault(file["type"], []).extend(download(app, file["url"]))
    return out


def download(app: App, url: str) -> list[bytes]:
    answer = app.http.get(url.removeprefix("http://127.0.0.1:8000"), headers={"authorization": f"Bearer {app.token}"})
    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Type"] == "application/fhir+ndjson"
    content = b"".join(answer.streaming_content)
    assert not content or content.endswith(b"\n")
    return content.split(b"\n")[:-1]
