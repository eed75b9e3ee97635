"""`manage.py demo`: the whole service on this machine, with an invented family, in one command."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from phr import embedded
from phr.embedded import postgres_server, supervise
from phr.embedded.children import spawn, stop
from phr.embedded.trouble import DidNotStart, require_port

PATIENCE = 60  # seconds the web server may take to answer


class Command(BaseCommand):
    help = "デモを起動します。Runs everything on this machine: database, broker, web, worker, beat and a family."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=port_number, default=8000, help="ポート番号 / port of the web server (8000)")
        parser.add_argument("--reset", action="store_true", help="初めからやり直す / delete what an earlier demo kept")

    def handle(self, *args: Any, port: int, reset: bool, **options: Any) -> None:
        folder = embedded.default_folder()
        require_port(port)
        if reset:
            embedded.reset(folder)
        with supervise.until_stopped():
            self.run(folder, port)
        self.stdout.write("停止しました。 Stopped.")

    def run(self, folder: Path, port: int) -> None:
        """Start everything, say so, and stay until told to stop. Raises embedded.Trouble."""
        url, logs = f"http://127.0.0.1:{port}", folder / "log"
        household = embedded.Household(folder)
        with household.running() as found, household.reached_at(url):
            env = {**os.environ, **found, **surroundings(folder, url)}
            welcome = prepared(env)
            programs = programs_for(folder, port)
            env["DATABASE_URL"] = postgres_server.url(folder / "postgres", postgres_server.WORKER)
            with supervise.running(programs, env=env, cwd=settings.BASE_DIR) as children:
                watched = dict(zip((p.name for p in programs), children, strict=True))
                supervise.wait_until_ready(f"{url}/readyz", watched, logs, patience=PATIENCE)
                self.stdout.write(f"{welcome}\nready {url}\n(Ctrl-C: 終了 / stop)", ending="\n")
                self.stdout.flush()
                supervise.watch(watched, logs, household.check)


def port_number(text: str) -> int:
    """A TCP port somebody can ask for by name. Raises argparse.ArgumentTypeError."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text}: 1 から 65535 まで / 1 to 65535")
    return int(text)


def surroundings(folder: Path, url: str) -> dict[str, str]:
    return {
        "PHR_BASE_URL": url, "PHR_STATIC_ROOT": str(folder / "static"), "PHR_VAR": str(folder),
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


def prepared(env: dict[str, str]) -> str:
    """Migrate and make the family in a process of its own; returns what it has to say to the people."""
    child = spawn(
        [sys.executable, "manage.py", "demo_family"], env=env, cwd=settings.BASE_DIR,
        dies_by=signal.SIGKILL, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        said, _ = child.communicate()
    finally:
        stop(child)
    if child.returncode:
        raise DidNotStart("demo_family", f"exit status {child.returncode}")
    return said.decode().rstrip()


def programs_for(folder: Path, port: int) -> list[supervise.Program]:
    """Web, worker and beat, as in production (deploy/README.md), sized for two cores."""
    logs, bin_ = folder / "log", Path(sys.executable).parent
    celery, quiet = [str(bin_ / "celery"), "--app", "phr", "--quiet"], ["--loglevel", "WARNING"]
    commands = {
        "worker": [*celery, "worker", "--concurrency", "1", *quiet],
        "beat": [*celery, "beat", "--schedule", str(folder / "beat-schedule"), "--pidfile", "", *quiet],
        "web": [
            str(bin_ / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
            "--workers", "2", "--blocking-threads", "4", "--no-ws", "--log-level", "warning",
            "--respawn-failed-workers",
            "--static-path-route", "/static", "--static-path-mount", str(folder / "static"), "phr.wsgi:application",
        ],
    }  # fmt: skip
    return [supervise.Program(name, argv, logs / f"{name}.log") for name, argv in commands.items()]
