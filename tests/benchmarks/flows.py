"""What data flows are measured by: a municipality's vaccinations, from the file to the record, two files at once."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

from django.utils import timezone

from consent.models import Organization
from integrations import taking
from integrations.models import ImportRun
from phr.records import systems
from phr.records.gateway import Records
from tests.benchmarks.measurements import Bench
from tests.benchmarks.table import row

ROOT = Path(__file__).resolve().parent.parent.parent
CODE, CHILDREN, DOSES = "990019", 1_500, 12  # 36,000 rows in two files
HEADER = (
    "団体コード,宛名番号,氏名,カナ氏名,生年月日,性別,接種日,ワクチン,回数,ロット番号,製剤名,接種量,接種区分,医療機関コード,"
    "医療機関名,医師名,修正区分,不開示区分,更新日時"
)
BORN = date(2024, 1, 1)
GIVEN = ["5種混合", "小児用肺炎球菌", "B型肝炎", "ロタウイルス"]


def flows(bench: Bench, env: dict[str, str], folder: Path) -> None:
    if bench.options.only not in ("", "flows"):
        return
    town = Organization.objects.create(name="見本市", kind="municipality", code=CODE, class_from=timezone.now())
    files = [folder / f"vaccinations-{part}.csv" for part in (1, 2)]
    for part, file in enumerate(files):
        numbers = [f"{part}{n:09d}" for n in range(CHILDREN)]
        _register(town, numbers)
        file.write_text(HEADER + "\n" + "".join(_lines(number) for number in numbers), encoding="cp932")
    _measured("vaccination CSV, 2 processes", town, files, env)
    _measured("the same vaccinations again", town, files, env)


def _register(town: Organization, numbers: list[str]) -> None:
    """The town writes the Patients, as its own system does."""
    records = Records.opened_by(taking.caller_for(town, client="benchmark"), now=timezone.now())
    system = f"{systems.PERSON_AT_MUNICIPALITY}/{CODE}"
    for start in range(0, len(numbers), 500):
        records.create_all(
            [
                {
                    "resourceType": "Patient", "id": str(uuid4()), "birthDate": BORN.isoformat(), "gender": "female",
                    "identifier": [{"system": system, "value": number}], "name": [{"text": "見本 花子"}],
                }
                for number in numbers[start : start + 500]
            ],
            keep_ids=True,
        )  # fmt: skip


def _lines(number: str) -> str:
    found = []
    for n in range(DOSES):
        day = BORN + timedelta(days=60 + 28 * n)
        found.append(
            f"{CODE},{number},見本 花子,ミホン ハナコ,20240101,2,{day:%Y%m%d},{GIVEN[n % 4]},{n // 4 + 1},L{n:04d},,"
            "0.5,接種,9910010003,見本市見本小児科,,1,0,2026/04/10 09:00:00\n"
        )
    return "".join(found)


def _measured(name: str, town: Organization, files: list[Path], env: dict[str, str]) -> None:
    before = set(ImportRun.objects.filter(organization=town).values_list("pk", flat=True))
    started = [
        subprocess.Popen(
            ["/usr/bin/env", "time", "-f", "%M", sys.executable, "manage.py", "import", "municipal-csv", str(file),
             "--organization", town.code, "--profile", "vaccination"],
            env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for file in files
    ]  # fmt: skip
    said = [child.communicate() for child in started]
    if any(child.returncode for child in started):
        raise SystemExit("\n".join(error[-2000:] for _, error in said))
    runs = list(ImportRun.objects.filter(organization=town).exclude(pk__in=before))
    count = sum(run.done for run in runs)
    begun = min(run.started_at for run in runs if run.started_at)
    took = (max(run.finished_at for run in runs if run.finished_at) - begun).total_seconds()
    memory = max(int(error.strip().splitlines()[-1]) for _, error in said) // 1024
    told = f"{sum(r.created for r in runs):,} created, {sum(r.unchanged for r in runs):,} unchanged"
    row(name, f"{count / took:,.0f} rows/s", f"{count:,} rows, {told}; ≤ {memory} MB")
