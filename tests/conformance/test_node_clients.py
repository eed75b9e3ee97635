"""Clients from npm get along with the REST door: fhir-kit-client and @medplum/core.

They are fetched by `npm ci --prefix tests/conformance/node --ignore-scripts`; without them the tests say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from phr.populate.cast import YUKI
from tests.conformance.conftest import Live
from tests.family import encoded, weight

HERE = Path(__file__).parent / "node"
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.skipif(not NODE, reason="NO NODE: clients from npm were NOT tried"),
    pytest.mark.skipif(
        not (HERE / "node_modules").is_dir(),
        reason="NO PACKAGES: clients from npm were NOT tried (npm ci --prefix tests/conformance/node --ignore-scripts)",
    ),
]

STEPS = {
    "fhir-kit-client": [
        "capability", "create and read", "update and vread", "patch", "history", "search in pages",
        "chain, _has, _include, compartment", "transaction and batch", "operations", "delete and refusals",
    ],
    "medplum": [
        "create and read", "update and vread", "patch and history", "conditional create and update",
        "search in pages", "chain, _has, _include, _revinclude", "transaction", "operations", "delete and refusals",
    ],
}  # fmt: skip


@pytest.mark.parametrize("client", STEPS)
def test_every_step_holds(live: Live, client: str) -> None:
    told = {"BASE": live.base, "TOKEN": live.family.mother.token, "PATIENT": str(YUKI)}
    environment = {"PATH": os.environ["PATH"], "SAMPLE": encoded(weight()).decode()} | told
    script = [NODE or "", str(HERE / f"{client}.mjs")]
    ran = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (ran.stdout.splitlines(), ran.returncode) == (STEPS[client], 0), ran.stdout + ran.stderr[-3000:]
