"""`manage.py demo` as one meets it for the first time: it starts, works when pasted, restarts, leaves nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 300  # seconds until something hangs; how fast it is, the benchmarks say


class Demo:
    """One demo, in a folder and on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("PHR_", "DATABASE_", "REDIS_", "PYTEST_"))}
        self.env = {**kept, "PHR_VAR": str(folder / "var")}
        self.process: subprocess.Popen[str] | None = None
        self.said = ""

    def start(self, *options: str) -> None:
        """Start it and wait until it says that it is ready; one that hangs is killed."""
        self.process = self.command("demo", "--port", str(self.port), *options, stderr=subprocess.STDOUT)
        assert self.process.stdout
        self.said = ""
        guard = Timer(PATIENCE, self.process.kill)
        guard.start()
        try:
            for line in self.process.stdout:
                self.said += line
                if line.startswith("ready "):
                    return
        finally:
            guard.cancel()
        pytest.fail(f"the demo ended: {self.said}\n{self.logs()}")

    def command(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "manage.py", *words]
        return subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=subprocess.PIPE, text=True, **options)

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.command(*words, stderr=subprocess.PIPE)
        said, complained = process.communicate(timeout=PATIENCE)
        return process.returncode, said, complained

    def stop(self, number: signal.Signals) -> int:
        assert self.process
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        assert self.process.stdout
        self.said += self.process.stdout.read() if number != signal.SIGKILL else ""
        self.process.stdout.close()
        return code

    def alive(self) -> list[str]:
        """Command lines of every process that names this demo's folder or port."""
        marks = (str(self.folder), f"--port\0{self.port}\0")
        lines = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_text(errors="replace")
            except OSError:
                continue
            if any(mark in line for mark in marks):
                lines.append(line.replace("\0", " "))
        return lines

    def logs(self) -> str:
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in (self.folder / "var" / "log").glob("*.log"))

    def get(self, path: str, token: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def token(self, *words: str) -> str:
        code, said, complained = self.run("demo_token", *words)
        assert code == 0, complained
        return said.strip()


@pytest.fixture
def demo() -> Iterator[Demo]:
    folder = Path(tempfile.mkdtemp(prefix="tsumugi-demo-"))
    folder.chmod(0o711)
    one = Demo(folder)
    yield one
    if one.process and one.process.poll() is None:
        one.stop(signal.SIGTERM)
    shutil.rmtree(folder, ignore_errors=True)


def pasted(line: str) -> str:
    """What the curl line of the welcome prints, run by curl where there is one."""
    if shutil.which("curl"):
        return subprocess.run(["bash", "-c", f"{line} -sf"], capture_output=True, text=True, check=True).stdout
    words = shlex.split(line)
    name, _, value = words[words.index("-H") + 1].partition(": ")
    with urllib.request.urlopen(urllib.request.Request(words[-1], headers={name: value}), timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def test_the_demo_from_the_first_start_to_the_last(demo: Demo) -> None:
    demo.start()
    assert f"ready http://127.0.0.1:{demo.port}" in demo.said
    assert "yuki" in demo.said

    line = next(line for line in demo.said.splitlines() if line.startswith("curl "))
    bundle = json.loads(pasted(line))
    assert {entry["resource"]["resourceType"] for entry in bundle["entry"]} == {"MedicationDispense"}

    tokens = {who: demo.token(who) for who in ("mother", "father", "aunt", "clinic", "officer")}
    assert len(set(tokens.values())) == 5
    seen = {who: _patients(demo, token) for who, token in tokens.items()}
    assert len(seen["mother"]) == 1
    assert len(seen["father"]) == 1
    assert seen["mother"] != seen["father"]
    assert not seen["aunt"]
    assert seen["mother"] <= seen["clinic"]
    narrow = demo.token("mother", "--scope", "launch/patient patient/Immunization.rs", "--patient", "ren")
    assert demo.get("/fhir/Immunization", narrow)["entry"]
    of_ren = demo.token("mother", "--patient", "ren")
    assert demo.get("/fhir/Observation?code=29463-7&date=2026-04-08", of_ren)["entry"], "the town's file is not in"

    demo.stop(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while demo.alive():
        assert time.monotonic() < deadline, f"children outlived a killed demo: {demo.alive()}"
        time.sleep(0.1)

    demo.start()
    assert demo.get("/fhir/Patient", demo.token("mother"))["entry"], "what it knew is gone after a restart"
    assert demo.stop(signal.SIGINT) == 0
    assert "Stopped" in demo.said
    assert not demo.alive()


def _patients(demo: Demo, token: str) -> set[str]:
    return {entry["resource"]["id"] for entry in demo.get("/fhir/Patient", token).get("entry", [])}


def test_a_port_in_use_gets_a_clear_message(demo: Demo) -> None:
    with socket.create_server(("127.0.0.1", demo.port)):
        code, _, complained = demo.run("demo", "--port", str(demo.port))
    assert code == 1
    assert f"Port {demo.port} is in use" in complained
    assert "Traceback" not in complained


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x"])
def test_a_port_that_cannot_be_gets_a_clear_message(demo: Demo, port: str) -> None:
    status, _, complained = demo.run("demo", f"--port={port}")
    assert status == 2
    assert "1 から 65535" in complained and "Traceback" not in complained


def test_a_broken_folder_gets_a_clear_message(demo: Demo) -> None:
    (demo.folder / "var" / "postgres").mkdir(parents=True)
    (demo.folder / "var" / "postgres" / "strange").write_text("")
    code, _, complained = demo.run("demo", "--port", str(demo.port))
    assert code == 1
    assert "--reset" in complained
    assert "Traceback" not in complained


def test_a_file_in_the_place_of_the_folder_gets_a_clear_message(demo: Demo) -> None:
    (demo.folder / "var").write_text("")
    code, _, complained = demo.run("demo", "--port", str(demo.port))
    assert code == 1
    assert "Traceback" not in complained


def test_no_token_without_a_demo(demo: Demo) -> None:
    code, said, complained = demo.run("demo_token", "mother")
    assert code == 1
    assert not said
    assert re.search(r"manage.py demo", complained)
    assert "Traceback" not in complained


def test_no_token_outside_the_demo(demo: Demo) -> None:
    demo.env["DATABASE_URL"] = os.environ["DATABASE_URL"]
    code, said, complained = demo.run("demo_token", "mother")
    assert code == 1
    assert not said
    assert "demo only" in complained
