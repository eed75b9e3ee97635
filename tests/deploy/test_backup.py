"""The backup can be restored, and the drill notices when it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from phr import embedded
from phr.embedded import postgres_server

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Place:
    """A database with the demo family, an empty one beside it, and what the scripts need to run."""

    folder: Path
    env: dict[str, str]

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=ROOT, env={**self.env, **more}, capture_output=True, text=True, check=False)

    def manage(self, *words: str) -> str:
        done = self.run(sys.executable, "manage.py", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def empty(self, name: str) -> str:
        """The URL of a new, empty database."""
        url = self.env["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return url.replace("/tsumugi?", f"/{name}?")


@pytest.fixture
def place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="tsumugi-backup-"))
    folder.chmod(0o711)
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("PHR_", "DATABASE_", "REDIS_", "PYTEST_"))}
    programs = f"{postgres_server.program('psql').parent}:{Path(sys.executable).parent}:{kept['PATH']}"
    with embedded.Household(folder / "var").running() as found:
        yield Place(folder, {**kept, **found, "PATH": programs, "PHR_VAR": str(folder / "var")})
    shutil.rmtree(folder, ignore_errors=True)


def test_a_backup_is_restored_and_proved(place: Place) -> None:
    place.manage("demo_family")
    place.manage("shell", "-v0", "-c", "from consent.tasks import seal_audit; seal_audit()")

    made = place.run("deploy/backup/backup.sh", str(place.folder / "backups"))
    assert made.returncode == 0, made.stderr
    file = Path(made.stdout.strip())
    assert file.stat().st_mode & 0o077 == 0
    plain = place.run("pg_restore", "-f", "-", "--data-only", "--table", "phr_resource", str(file)).stdout
    assert "MedicationDispense" in plain
    assert "resourceType" not in plain, "a body stands open in the dump"

    url = place.empty("drill")
    drilled = place.run("deploy/backup/drill.sh", str(file), DRILL_URL=url)
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr
    assert "問題なし" in drilled.stdout
    restored = int(drilled.stdout.rsplit("restored: ", 1)[1].split()[0])
    with psycopg.connect(place.env["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT count(*) FROM phr_resource").fetchone()
    assert row == (restored,)

    again = place.run("deploy/backup/drill.sh", str(file), DRILL_URL=url)
    assert again.returncode == 1
    assert "not empty" in again.stderr

    other = embedded.Household(place.folder / "other")
    other.folder.mkdir()
    refused = place.run("deploy/backup/drill.sh", str(file), DRILL_URL=place.empty("drill2"), **other.keys())
    assert refused.returncode != 0, "keys that do not fit went unnoticed"
