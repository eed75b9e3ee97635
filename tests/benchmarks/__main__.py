"""`uv run python -m tests.benchmarks`: starts its own servers on `populate` data and prints one table.

Tokens, consent and audit are on, the database is durable (fsync). The bare baseline is measured in the same
run, so the ratios mean something on any machine. Nothing here fails by the clock.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phr import embedded
from phr.embedded import postgres_server, supervise
from tests.benchmarks import care
from tests.benchmarks.table import print_table, row

ROOT = Path(__file__).resolve().parent.parent.parent


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def server(target: str, env: dict[str, str], logs: Path, ready: str) -> Iterator[int]:
    """granian as in production: two workers."""
    port = free_port()
    argv = [
        str(Path(sys.executable).parent / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "2", "--blocking-threads", "4", "--no-ws", "--log-level", "warning",
        "--respawn-failed-workers", target,
    ]  # fmt: skip
    program = supervise.Program(target, argv, logs / "web.log")
    with supervise.running([program], env=env, cwd=ROOT) as [child]:
        supervise.wait_until_ready(f"http://127.0.0.1:{port}{ready}", {target: child}, logs, patience=60)
        yield port


def manage(env: dict[str, str], *argv: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *argv], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{argv[0]} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", type=int, default=200, help="invented families to store first (200)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (4)")
    parser.add_argument("--only", default="", help="measure only what has this in its name")
    parser.add_argument("--children", type=int, default=100_000, help="whose vaccinations are planned (100,000)")
    options = parser.parse_args()
    if options.only in ("", "care"):
        care.care(options.children)
    if options.only == "care":  # needs no server
        print_table()
        return
    folder = Path(tempfile.mkdtemp(prefix="tsumugi-benchmarks-"))
    folder.chmod(0o711)
    try:
        with embedded.Household(folder).running() as found:
            env = {**os.environ, **found, "PHR_VAR": str(folder), "PHR_DEMO": "1", "PHR_LOG_LEVEL": "WARNING"}
            os.environ.update(env)
            run(env, folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print_table()


def run(env: dict[str, str], folder: Path, options: argparse.Namespace) -> None:
    manage(env, "migrate", "--verbosity", "0")
    begin = time.perf_counter()
    said = manage(env, "populate", "--families", str(options.families), "--seed", "1", "--grants", "--processes", "2")
    row("populate, 2 processes", said.strip().splitlines()[-1], f"{time.perf_counter() - begin:.0f} s in all")
    os.environ["DJANGO_SETTINGS_MODULE"] = "phr.settings"
    import django

    django.setup()
    from tests.benchmarks import complete, flows, hl7, measurements, notebook, trust

    manage(env, "grant_roles")
    random.seed(1)
    web = {**env, "DATABASE_URL": postgres_server.url(folder / "postgres", postgres_server.WORKER)}
    measurements.storage()
    drf = measurements.bare(env, folder, options, server)
    with server("phr.wsgi:application", web, folder, "/readyz") as port:
        bench = measurements.Bench(port, options)
        complete.complete(bench, web, folder)
        trust.trust(bench, web, folder, server)
        hl7.ssmix2(bench)
        flows.flows(bench, env, folder)
        notebook.jahis(bench)
        measurements.ours(bench, drf)


if __name__ == "__main__":
    main()
