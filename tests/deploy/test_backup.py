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

    def keys(self, **more: str) -> Path:
        """A dump of the data keys, made now."""
        made = self.run("deploy/backup/keys.sh", str(self.folder / "keys"), **more)
        assert made.returncode == 0, made.stderr
        return Path(made.stdout.strip())

    def empty(self, name: str) -> str:
        """The URL of a new, empty database."""
        url = self.env["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return _named(url, name)


def _named(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    server, _, rest = url.partition("?")
    return f"{server.rsplit('/', 1)[0]}/{name}?{rest}"


@pytest.fixture(scope="module")
def house() -> Iterator[Place]:
    """One server, and the demo family in its first database."""
    folder = Path(tempfile.mkdtemp(prefix="tsumugi-backup-"))
    folder.chmod(0o711)
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("PHR_", "DATABASE_", "REDIS_", "PYTEST_"))}
    programs = f"{postgres_server.program('psql').parent}:{Path(sys.executable).parent}:{kept['PATH']}"
    with embedded.Household(folder / "var").running() as found:
        made = Place(folder, {**kept, **found, "PATH": programs, "PHR_VAR": str(folder / "var")})
        made.manage("demo_family")
        yield made
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def place(house: Place) -> Place:
    """A copy of that database, and a folder of its own."""
    name = f"copy_{len(list(house.folder.glob('copy_*')))}"
    folder = house.folder / name
    folder.mkdir()
    url = house.env["DATABASE_URL"]
    with psycopg.connect(_named(url, "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE tsumugi")  # type: ignore[call-overload]
    return Place(folder, {**house.env, "DATABASE_URL": _named(url, name)})


def test_a_backup_is_restored_and_proved(place: Place) -> None:
    place.manage("shell", "-v0", "-c", "from consent.tasks import seal_audit; seal_audit()")

    made = place.run("deploy/backup/backup.sh", str(place.folder / "backups"))
    assert made.returncode == 0, made.stderr
    file = Path(made.stdout.strip())
    assert file.stat().st_mode & 0o077 == 0
    plain = place.run("pg_restore", "-f", "-", "--data-only", "--table", "phr_resource", str(file)).stdout
    assert "MedicationDispense" in plain
    assert "resourceType" not in plain, "a body stands open in the dump"

    url = place.empty("drill")
    keys = place.keys()
    assert keys.stat().st_mode & 0o077 == 0
    wrapped = place.run("pg_restore", "-f", "-", "--data-only", "--table", "consent_datakey", str(file)).stdout
    assert "\\\\x" not in wrapped, "a wrapped key stands in the dump"
    drilled = place.run("deploy/backup/drill.sh", str(file), str(keys), DRILL_URL=url)
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr
    assert "問題なし" in drilled.stdout
    restored = int(drilled.stdout.rsplit("restored: ", 1)[1].split()[0])
    with psycopg.connect(place.env["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT count(*) FROM phr_resource").fetchone()
    assert row == (restored,)

    again = place.run("deploy/backup/drill.sh", str(file), str(keys), DRILL_URL=url)
    assert again.returncode == 1
    assert "not empty" in again.stderr

    other = embedded.Household(place.folder / "other")
    other.folder.mkdir()
    refused = place.run("deploy/backup/drill.sh", str(file), str(keys), DRILL_URL=place.empty("drill2"), **other.keys())
    assert refused.returncode != 0, "keys that do not fit went unnoticed"


ERASE = """
from datetime import timedelta
from django.utils import timezone
from consent import erasures
from consent.models import Person
from phr.smart import leaving
from phr.trust import erasing
now = timezone.now()
ichiro = Person.objects.get(username="ichiro")
erasures.ask(subject=ichiro.own_subject, by=ichiro, wait=timedelta(0), now=now)
print("erased", ichiro.own_subject_id, erasing.run_due(now=now, forget=leaving.forget))
"""


@pytest.mark.IT("14")
def test_what_was_erased_since_no_backup_brings_back(place: Place) -> None:
    """Backup, erasure, restore: without the key nothing opens, and what stood in the clear goes again."""
    made = place.run("deploy/backup/backup.sh", str(place.folder / "backups"))
    assert made.returncode == 0, made.stderr
    before = place.keys()
    _, subject, count = place.manage("shell", "-v0", "-c", ERASE).split()
    assert count == "1"
    file, url, after = made.stdout.strip(), place.empty("restored"), place.keys()
    assert after != before
    assert Path(f"{after}.erased").read_text().split() == [subject]
    assert subject in before.read_text()
    assert subject not in after.read_text()

    drilled = place.run("deploy/backup/drill.sh", file, str(after), DRILL_URL=url)
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr
    assert "erased again: 1 / 1" in drilled.stdout
    with psycopg.connect(url) as connection:
        for table in ("phr_resource", "phr_version", "consent_datakey"):
            row = connection.execute(f"SELECT count(*) FROM {table} WHERE subject_id = %s", [subject]).fetchone()  # type: ignore[call-overload]
            assert row == (0,), table
        row = connection.execute("SELECT state FROM consent_subject WHERE id = %s", [subject]).fetchone()
        assert row == ("erased",)

    # Whoever restores the dump and does not run the list reads nothing either: the newest keys hold none for it.
    raw = place.empty("raw")
    restored = place.run("pg_restore", "--no-owner", "--no-privileges", "--dbname", raw, file)
    assert restored.returncode == 0, restored.stderr
    with psycopg.connect(raw) as connection:
        kept = connection.execute("SELECT count(*) FROM phr_resource WHERE subject_id = %s", [subject]).fetchone()
        assert kept is not None
        assert kept[0] > 0
        keys = connection.execute("SELECT count(*) FROM consent_datakey").fetchone()
        assert keys == (0,), "no key is in the dump"


@pytest.mark.IT("14")
def test_old_copies_of_keys_are_soon_forgotten(place: Place) -> None:
    old = place.keys()
    ago = old.stat().st_mtime - 9 * 86400
    for file in (old, Path(f"{old}.erased")):
        moved = file.with_name(file.name.replace("tsumugi-", "tsumugi-1"))
        file.rename(moved)
        os.utime(moved, (ago, ago))
    newest = place.keys()
    assert sorted(f.name for f in newest.parent.iterdir()) == [newest.name, f"{newest.name}.erased"]
