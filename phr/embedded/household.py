"""Everything the embedded servers keep under one folder (`var/`): who runs them, and the keys of the demo."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from phr.embedded import postgres_server, redis_server
from phr.embedded.trouble import AlreadyRunning, BrokenFolder, of_disk, require_room

PATIENCE = 60  # seconds to wait for servers that another process is starting


@dataclass(frozen=True, slots=True)
class Household:
    """The folder and what stands in it."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "postgres"

    @property
    def broker(self) -> Path:
        return self.folder / "redis"

    @contextmanager
    def running(self) -> Iterator[dict[str, str]]:
        """Run both servers for the time of the block; yields the environment Django needs to use them.

        Raises AlreadyRunning when another process runs them, and the servers' own Troubles.
        """
        require_room(self.folder)
        with self.alone(), ExitStack() as stack:
            environment = self.environment()
            environment["DATABASE_URL"] = stack.enter_context(postgres_server.postgres(self.database))
            environment["REDIS_URL"] = stack.enter_context(redis_server.redis(self.broker))
            yield environment
            self._wait_for_guests()

    @contextmanager
    def joined(self) -> Iterator[dict[str, str]]:
        """Use the servers that another process runs here; they stay while we use them. Raises AlreadyRunning late."""
        with self._locked("guests.lock", fcntl.LOCK_SH):
            deadline = time.monotonic() + PATIENCE
            while (broker := redis_server.url(self.broker)) is None:
                if time.monotonic() > deadline:
                    raise AlreadyRunning(self.folder, self._holder())
                time.sleep(0.1)
            yield {**self.environment(), "DATABASE_URL": postgres_server.url(self.database), "REDIS_URL": broker}

    def check(self) -> None:
        """Raise what ended the database server, DiskFull for one, if it has ended."""
        postgres_server.check(self.database)

    def environment(self) -> dict[str, str]:
        """What whoever uses our servers has in common: the demo's keys, its address, the word that it is the demo."""
        address = self.folder / "address"
        told = {"PHR_BASE_URL": address.read_text(encoding="utf-8")} if address.exists() else {}
        return {**self.keys(), **told, "PHR_DEMO": "1"}

    @contextmanager
    def reached_at(self, url: str) -> Iterator[None]:
        """Let other commands know, for the time of the block, where the web server answers."""
        address = self.folder / "address"
        address.write_text(url, encoding="utf-8")
        try:
            yield
        finally:
            address.unlink(missing_ok=True)

    def keys(self) -> dict[str, str]:
        """The demo's own secrets, made once and kept in `keys.json` (0600). Raises BrokenFolder, DiskFull."""
        path = self.folder / "keys.json"
        try:
            if not path.exists():
                _write_once(path, json.dumps(_fresh_keys()))
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise BrokenFolder(self.folder, f"{path}: {error}") from error
        except OSError as error:
            raise of_disk(self.folder, error) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep everybody else off this folder for the time of the block. Raises AlreadyRunning."""
        with self._locked("lock", fcntl.LOCK_EX | fcntl.LOCK_NB) as file:
            try:
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), str(os.getpid()).encode())
            except OSError as error:
                raise of_disk(self.folder, error) from error
            yield

    @contextmanager
    def _locked(self, name: str, how: int) -> Iterator[IO[str]]:
        with self._opened(name) as file:
            try:
                fcntl.flock(file, how)
            except BlockingIOError as error:
                raise AlreadyRunning(self.folder, self._holder()) from error
            yield file

    def _opened(self, name: str) -> IO[str]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return open(self.folder / name, "a+", encoding="utf-8")
        except OSError as error:
            raise of_disk(self.folder, error) from error

    def _holder(self) -> str:
        return f"pid {(self.folder / 'lock').read_text(encoding='utf-8') or '?'}"

    def _wait_for_guests(self) -> None:
        """Commands that joined our servers finish first."""
        with self._locked("guests.lock", fcntl.LOCK_EX):
            pass


def default_folder() -> Path:
    """PHR_VAR, or `var/` beside the project's folders."""
    return Path(os.environ.get("PHR_VAR") or Path(__file__).resolve().parents[2] / "var")


@contextmanager
def ensure(folder: Path, environment: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Put working servers' addresses and keys into `environment`: joined ones, or our own for this block.

    What `environment` already names stays; with a DATABASE_URL nothing is started.
    """
    if environment.get("DATABASE_URL"):
        yield
        return
    household = Household(folder)
    with ExitStack() as stack:
        try:
            found = stack.enter_context(household.running())
        except AlreadyRunning:
            found = stack.enter_context(household.joined())
        for name, value in found.items():
            environment.setdefault(name, value)
        yield


# Everything the demo makes under its folder; nothing else there is touched.
OURS = (
    "postgres*", "redis", "keys.json", "address", "demo", "log", "static", "beat-schedule*",
)  # fmt: skip


def reset(folder: Path) -> None:
    """Delete what the demo keeps under `folder`, and only that. Raises AlreadyRunning while it is in use."""
    with Household(folder).alone():
        for entry in (entry for pattern in OURS for entry in folder.glob(pattern)):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _write_once(path: Path, text: str) -> None:
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.rename(path)


def _fresh_keys() -> dict[str, str]:
    def random(size: int = 32) -> str:
        return base64.b64encode(secrets.token_bytes(size)).decode()

    return {
        "PHR_SECRET_KEY": random(48),
        "PHR_KEYS": f"demo-1:{random()}",
        "PHR_INDEX_KEY": random(),
        "PHR_AUDIT_KEY": random(),
        "PHR_OIDC_KEY": fresh_oidc_key(),
    }


def fresh_oidc_key() -> str:
    """A new RSA private key (2048 bits, PEM) as `PHR_OIDC_KEY` wants it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form).decode()
