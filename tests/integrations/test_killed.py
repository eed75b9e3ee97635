"""A worker killed in the middle (kill -9) leaves nothing half written, and the run goes on to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from consent.decide import Caller
from integrations import accepting, running
from integrations.incoming import Part
from phr.records.models import Change, Resource
from tests.consent.people import People
from tests.integrations.jahis_qr.samples import sample
from tests.integrations.test_runs import FULL, JAHIS, hanas, kinds

# A worker that dies after writing the records of the chunk, before its transaction ends.
WORKER = """
import os, signal, sys
from uuid import UUID
import django
django.setup()
from django.utils import timezone
from integrations import running
def dying(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "inside":
    running._add_up = dying
else:
    running._commit_chunk = dying
running.run(UUID(sys.argv[1]), clock=timezone.now)
"""


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["inside", "before"])
def test_a_killed_run_goes_on_and_ends_with_each_row_once(family: People, mother: Caller, moment: str) -> None:
    now = timezone.now()
    parts = [Part(hanas(sample("tc08_full.txt")))]
    run = accepting.accept(JAHIS, parts, subject=family.hana.pk, by=mother, now=now, wake=False)
    before = (Resource.objects.count(), Change.objects.count())
    killed = subprocess.run(
        [sys.executable, "-c", WORKER, str(run.pk), moment],
        env={**os.environ, "DATABASE_URL": own_database()}, cwd=Path(__file__).parents[2], check=False, timeout=300,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    run.refresh_from_db()
    assert run.state == "running"
    assert (Resource.objects.count(), Change.objects.count()) == before, "nothing is half written"

    running.run(run.pk, clock=timezone.now)
    run.refresh_from_db()
    assert run.state == "running", "a run whose worker may be alive is left to it"

    running.run(run.pk, clock=lambda: now + timedelta(seconds=200))
    run.refresh_from_db()
    assert (run.state, run.created, run.attempts) == ("done", 17, 2)
    assert kinds(family.hana.pk) == FULL


def own_database() -> str:
    """The URL of this test worker's database."""
    base, question, options = os.environ["DATABASE_URL"].partition("?")
    return f"{base.rpartition('/')[0]}/{connection.settings_dict['NAME']}{question}{options}"
