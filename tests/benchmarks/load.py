"""Load on one HTTP server: a few threads with a connection each, requests written beforehand."""

from __future__ import annotations

import itertools
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

THREADS = 8


@dataclass(frozen=True, slots=True)
class Rate:
    """What a measurement gave: per second, and the median answer in milliseconds."""

    per_second: float
    median_ms: float


@dataclass(slots=True)
class Tally:
    times: list[float] = field(default_factory=list)
    wrong: list[bytes] = field(default_factory=list)


def request(method: str, path: str, *, token: str = "", body: bytes = b"") -> bytes:
    """One HTTP/1.1 request as bytes."""
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    if token:
        head.append(f"Authorization: Bearer {token}")
    if body:
        head += ["Content-Type: application/fhir+json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


def measure(port: int, requests: Sequence[bytes], *, seconds: float = 4.0, rounds: int = 3, weight: int = 1) -> Rate:
    """The median of `rounds` runs of `seconds` each. `weight`: things done by one request.

    Raises RuntimeError when an answer is not a success: a fast error is no speed.
    """
    _run(port, requests, seconds=1.0)
    runs = [_run(port, requests, seconds=seconds) for _ in range(rounds)]
    middle = sorted(runs, key=lambda r: r.per_second)[rounds // 2]
    return Rate(middle.per_second * weight, middle.median_ms)


def _run(port: int, requests: Sequence[bytes], *, seconds: float) -> Rate:
    tallies = [Tally() for _ in range(THREADS)]
    start = time.perf_counter()
    threads = [
        threading.Thread(target=_client, args=(port, itertools.cycle(_share(requests, n)), start + seconds, tally))
        for n, tally in enumerate(tallies)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [text for tally in tallies for text in tally.wrong]
    if wrong:
        raise RuntimeError(f"{len(wrong)} answers were no success, the first: {wrong[0][:600]!r}")
    times = [t for tally in tallies for t in tally.times]
    return Rate(len(times) / (time.perf_counter() - start), statistics.median(times) * 1000)


def _share(requests: Sequence[bytes], number: int) -> list[bytes]:
    return [requests[(i + number * len(requests) // THREADS) % len(requests)] for i in range(len(requests))]


def _client(port: int, requests: Iterator[bytes], until: float, tally: Tally) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while (begin := time.perf_counter()) < until:
            connection.sendall(next(requests))
            answer = _answer(connection)
            tally.times.append(time.perf_counter() - begin)
            if answer[9:10] != b"2":
                tally.wrong.append(answer)
                return


def _answer(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += connection.recv(65536)
    at = data.lower().find(b"content-length:", 0, end)
    length = int(data[at + 15 : data.find(b"\r\n", at)]) if at >= 0 else 0
    while len(data) < end + 4 + length:
        data += connection.recv(1 << 20)
    return data


def loop(act: Callable[[], object], *, seconds: float = 2.0) -> float:
    """How often per second one thread can do something."""
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        act()
        done += 1
    return done / (time.perf_counter() - start)
