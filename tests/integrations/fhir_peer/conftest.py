"""A second server of ours in processes of its own, with a database of its own; and our side of the wire."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from phr.embedded import postgres_server
from phr.embedded.household import Household
from tests.integrations.fhir_peer.wire import Wire
from tests.integrations.test_killed import own_database

ROOT = Path(__file__).parents[3]
FHIR_JSON = "application/fhir+json"


@dataclass
class Second:
    """The peer: its server can be killed and started again; `ask` speaks to it as its clinic."""

    folder: Path
    environment: dict[str, str]
    port: int
    key: JWK  # ours there
    clinic_key: JWK
    patients: dict[str, str] = field(default_factory=dict)
    child: subprocess.Popen[bytes] | None = None
    token: str = ""

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    def start(self) -> None:
        command = [
            str(Path(sys.executable).parent / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port",
            str(self.port), "--workers", "1", "--blocking-threads", "2", "--no-ws", "--log-level", "error",
            "phr.wsgi:application",
        ]  # fmt: skip
        with (self.folder / "web.log").open("ab") as log:
            self.child = subprocess.Popen(
                command, env=self.environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
        raise AssertionError((self.folder / "web.log").read_text())

    def kill(self) -> None:
        """kill -9, with all it has started."""
        if self.child is not None:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
            self.child = None

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], env=self.environment, cwd=ROOT, capture_output=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        return done.stdout.decode()

    def ask(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(
            f"{self.base}/{path}" if path else self.base, method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Authorization": f"Bearer {self._token()}", "Content-Type": FHIR_JSON},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def write(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """Create it there, or update it where it has an id."""
        where = f"{resource['resourceType']}/{resource['id']}" if "id" in resource else resource["resourceType"]
        status, told = self.ask("PUT" if "id" in resource else "POST", where, resource)
        assert status in (200, 201), told
        return told

    def _token(self) -> str:
        if not self.token:
            now = int(time.time())
            claims = {"iss": "clinic", "sub": "clinic", "aud": f"http://127.0.0.1:{self.port}/oauth/token",
                      "exp": now + 200, "jti": os.urandom(12).hex()}  # fmt: skip
            signed = JWS(json.dumps(claims))
            signed.add_signature(self.clinic_key, protected=json.dumps({"alg": "ES384", "kid": self.clinic_key["kid"]}))
            form = {"grant_type": "client_credentials", "scope": "system/*.cruds",
                    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    "client_assertion": signed.serialize(compact=True)}  # fmt: skip
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/oauth/token", data=urlencode(form).encode(), timeout=30
            ) as answer:
                self.token = json.loads(answer.read())["access_token"]
        return self.token


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_ours(second: str) -> None:
    """The tables of this worker's database, empty, in another server: what migrating would make, far sooner."""
    dump, ours = [str(postgres_server.program("pg_dump")), "--no-owner", "--no-privileges"], own_database()
    told = [
        subprocess.run([*dump, *which, ours], capture_output=True, check=True, timeout=120).stdout
        for which in (["--schema-only"], ["--data-only", "--table=django_migrations"])
    ]
    subprocess.run(
        [str(postgres_server.program("psql")), "--quiet", "--set=ON_ERROR_STOP=1", second], input=b"".join(told),
        stdout=subprocess.DEVNULL, check=True, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="session")
def second_server(django_db_setup: None) -> Iterator[Second]:
    folder = Path(tempfile.mkdtemp(prefix="tsumugi-second-"))
    folder.chmod(0o711)
    port = free_port()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PHR_", "DATABASE_", "REDIS_", "CELERY_"))}
    ours, theirs = (JWK.generate(kty="EC", crv="P-384", kid=kid, use="sig", alg="ES384") for kid in ("ours", "theirs"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = stack.enter_context(postgres_server.postgres(folder / "postgres", durable=False))
        keys = Household(folder).keys()
        told = {"PHR_VAR": str(folder), "PHR_DEMO": "1", "PHR_BASE_URL": f"http://127.0.0.1:{port}"}
        environment = {**kept, **keys, **told, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "phr.settings"}
        made = Second(folder, environment, port, ours, theirs)
        as_ours(url)
        names = made.run(
            "-m", "tests.integrations.fhir_peer.second_server", ours.export_public(), theirs.export_public()
        )
        made.patients = json.loads(names.strip().splitlines()[-1])
        made.start()
        stack.callback(made.kill)
        yield made


@pytest.fixture
def second(second_server: Second) -> Iterator[Second]:
    """The peer, up, and with a token that lasts."""
    second_server.token = ""
    if second_server.child is None:
        second_server.start()
    yield second_server
    if second_server.child is None:
        second_server.start()


@dataclass
class Ticking:
    """A clock that goes with the world's, and can be put forward."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC) + self.ahead


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.server.shutdown()
    made.server.server_close()
