"""What the complete server is measured by: chains, `_has`, includes, whole records, deep pages, export, ingest."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from django.db import connection
from django.utils import timezone

from phr.populate.store import for_organization
from phr.records.gateway import Records
from tests.benchmarks.load import measure, request
from tests.benchmarks.measurements import WEIGHT, Bench, observation, rows
from tests.benchmarks.table import row

ROOT = Path(__file__).resolve().parent.parent.parent
FHIR_JSON = "application/fhir+json"
DEEP = 100_000


def complete(bench: Bench, env: dict[str, str], folder: Path) -> None:
    searches(bench)
    whole_records(bench)
    if bench.options.only in ("", "pages"):
        deep_pages(bench)
    if bench.options.only in ("", "export"):
        export(bench, env)
    if bench.options.only in ("", "ingest"):
        ingest(bench, env, folder)


def searches(bench: Bench) -> None:
    tokens = [(m.own_subject_id, bench.mother_token(m)) for m in bench.mothers]
    clinic = bench.clinic_token()
    granted = [str(s) for s, _ in tokens]

    def own(path: str) -> Callable[[], list[bytes]]:
        return lambda: [request("GET", path.format(s), token=token) for s, token in tokens]

    def by_clinic(path: str) -> Callable[[], list[bytes]]:
        return lambda: [request("GET", path.format(s), token=clinic) for s in granted]

    chained = f"/fhir/Observation?subject:Patient.gender=female&code={WEIGHT}&_count=10"
    bench.measure("chained search", own(chained), note="mothers, subject:Patient.gender, 10 a page;")
    bench.measure("chained search, by the clinic",
                  by_clinic("/fhir/Observation?patient={0}&subject:Patient.gender=female&_count=10"))  # fmt: skip
    has = f"/fhir/Patient?_has:Observation:patient:code={WEIGHT}"
    bench.measure("_has", own(has), note="mothers, Observation by code;")
    bench.measure("_has, by the clinic", by_clinic(has + "&_id={0}"))
    include = f"/fhir/Observation?code={WEIGHT}&_include=Observation:subject&_count=10"
    bench.measure("_include", own(include), note="mothers, 10 a page;")
    bench.measure("_revinclude", own("/fhir/Patient?_id={0}&_revinclude=MedicationDispense:patient"))


def whole_records(bench: Bench) -> None:
    """`$everything` of records of 60 resources, which the clinic made and reads."""
    records = Records.opened_by(for_organization(bench.clinic), now=timezone.now())
    token, made = bench.clinic_token(), []
    for _ in range(10):
        patient = records.create({"resourceType": "Patient", "gender": "female", "birthDate": "1990-01-01"})
        records.create_all([json.loads(observation(patient.id)) for _ in range(59)])
        made.append(request("GET", f"/fhir/Patient/{patient.id}/$everything", token=token))
    bench.measure("$everything of 60", lambda: made, note="by the clinic, one page;")


def deep_pages(bench: Bench) -> None:
    """Pages of 50 at the beginning, in the middle and at the end of a result of 100,000 rows."""
    _fill(bench)
    token = bench.clinic_token()
    for sort in ("", "-_lastUpdated", "-date"):
        order = f"&_sort={sort}" if sort else ""
        first, costs = f"/fhir/Observation?_count=50{order}", {}
        places = _places(bench.port, token, f"/fhir/Observation?_count=500{order}")
        costs = {where: measure(bench.port, [request("GET", path, token=token)], seconds=bench.options.seconds)
                 for where, path in {0: first, **places}.items()}  # fmt: skip
        worst = max(cost.median_ms for cost in costs.values()) / costs[0].median_ms
        told = ", ".join(f"{where:,}: {cost.median_ms:.1f} ms" for where, cost in costs.items())
        row(f"pages of 50, _sort={sort or '(default)'}, dearest against first", f"{worst:.2f}×", told)


def granted_to(bench: Bench) -> list[UUID]:
    """Persons who opened their records to the clinic, forty at most."""
    granted = "SELECT DISTINCT subject_id FROM consent_effectivegrant WHERE grantee = %s LIMIT 40"
    return [s for (s,) in rows(granted, f"org:{bench.clinic}")]


def _fill(bench: Bench) -> None:
    subjects = granted_to(bench)
    records = Records.opened_by(for_organization(bench.clinic), now=timezone.now())
    made = [json.loads(observation(s)) for s in subjects]
    begin = time.perf_counter()
    for start in range(0, DEEP, 1000):
        records.create_all([made[(start + n) % len(made)] for n in range(1000)])
    row("creates through the gateway, one process", f"{(DEEP) / (time.perf_counter() - begin):,.0f}/s")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE phr_resource")


def _places(port: int, token: str, first: str) -> dict[int, str]:
    """Links to pages of 50 at a few depths, got by walking the whole result."""
    found, path, seen = {}, first, 0
    marks = [25_000, 50_000, 75_000, 95_000]
    while path:
        told = json.loads(_got(port, token, path)[2])
        seen += len(told.get("entry", []))
        links = {link["relation"]: link["url"] for link in told["link"]}
        if "next" not in links:
            break
        path = _path(links["next"])
        if marks and seen >= marks[0]:
            marks.pop(0)
            found[seen] = path.replace("_count=500", "_count=50")
    row("  rows walked", f"{seen:,}")
    return found


def _got(port: int, token: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case, body. Raises RuntimeError for anything but success."""
    http = HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        http.request("GET", path, headers={"Authorization": f"Bearer {token}", "Accept": FHIR_JSON, **headers})
        answer = http.getresponse()
        content = answer.read()
    finally:
        http.close()
    if answer.status >= 300:
        raise RuntimeError(f"{path}: {answer.status} {content[:500]!r}")
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def export(bench: Bench, env: dict[str, str]) -> None:
    """A system export from kick-off to the last byte of the last file, with a worker as in production."""
    argv = [sys.executable, "-m", "celery", "-A", "phr.celery", "worker", "-l", "warning", "-c", "2"]
    worker = subprocess.Popen(argv, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    token = bench.clinic_token()
    try:
        time.sleep(5)  # the worker starts
        begin, count = time.perf_counter(), 0
        _, headers, _ = _got(bench.port, token, "/fhir/Patient/$export", Prefer="respond-async")
        place = _path(headers["content-location"])
        while (told := _got(bench.port, token, place))[0] == 202:
            time.sleep(0.25)
        written = time.perf_counter() - begin
        for file in json.loads(told[2])["output"]:
            _, _, content = _got(bench.port, token, _path(file["url"]), Accept="application/fhir+ndjson")
            count += content.count(b"\n")
    finally:
        worker.terminate()
        worker.wait()
    row("bulk export, until complete", f"{count / written:,.0f} resources/s", f"{count:,} resources")
    row("bulk export, with the download", f"{count / (time.perf_counter() - begin):,.0f} resources/s")


def ingest(bench: Bench, env: dict[str, str], folder: Path) -> None:
    """40,000 Observations about persons who opened their records, by the operator's command."""
    [(code,)] = rows("SELECT code FROM consent_organization WHERE id = %s", bench.clinic)
    made = [json.loads(observation(s)) for s in granted_to(bench)]
    source, count = folder / "ingest.ndjson", 40_000
    with source.open("w") as target:
        for n in range(count):
            target.write(json.dumps(made[n % len(made)] | {"id": str(uuid4())}, ensure_ascii=False) + "\n")
    argv = [sys.executable, "manage.py", "ingest", str(source), "--organization", code, "--processes", "2"]
    begin = time.perf_counter()
    subprocess.run(argv, env=env, cwd=ROOT, check=True, capture_output=True)
    took = time.perf_counter() - begin
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    row("NDJSON ingest, 2 processes", f"{count / took:,.0f} resources/s", f"{count:,} resources; ≤ {memory} MB")
