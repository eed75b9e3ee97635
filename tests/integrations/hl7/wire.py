"""A listener in a thread, and sockets that talk to it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from consent.models import Organization
from integrations.hl7.listening import listen
from integrations.hl7.mllp import END, START, Limits, Listener


@contextmanager
def serving(make: Callable[[Callable[[int], None], asyncio.Event], Any]) -> Iterator[tuple[int, Callable[[], None]]]:
    """Run what `make` returns in a loop of its own; gives its port and how to stop it. It must end without an error."""
    ready, failed = threading.Event(), list[BaseException]()
    held: dict[str, Any] = {}

    def started(port: int) -> None:
        held.update(port=port)
        ready.set()

    def run() -> None:
        async def main() -> None:
            stop = asyncio.Event()
            held.update(stop=stop, loop=asyncio.get_running_loop())
            await make(started, stop)

        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - told in the thread of the test
            failed.append(error)
        ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    assert not failed, failed
    stop = lambda: held["loop"].call_soon_threadsafe(held["stop"].set)  # noqa: E731
    try:
        yield held["port"], stop
    finally:
        if thread.is_alive():
            stop()
        thread.join(10)
        assert not thread.is_alive()
        assert not failed, failed


def answering(
    answer: Callable[[bytes], Any], limits: Limits | None = None
) -> Callable[[Callable[[int], None], asyncio.Event], Any]:
    """A bare listener, without a record behind it."""

    async def run(started: Callable[[int], None], stop: asyncio.Event) -> None:
        listener = Listener(answer, limits=limits)
        started(await listener.start("127.0.0.1", 0))
        await stop.wait()
        await listener.stop()

    return run


def of_clinic(
    clinic: Organization, now: datetime, *, tls: ssl.SSLContext | None = None, limits: Limits | None = None
) -> Callable[[Callable[[int], None], asyncio.Event], Any]:
    """The listener as the command starts it."""

    async def run(started: Callable[[int], None], stop: asyncio.Event) -> None:
        await listen(
            clinic, host="127.0.0.1", port=0, profile="", clock=lambda: now, threads=2, tls=tls, limits=limits,
            started=started, stopping=stop,
        )  # fmt: skip

    return run


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def framed(data: bytes) -> bytes:
    return START + data.rstrip(b"\x1c\r") + b"\r" + END


def received(line: socket.socket, count: int = 1) -> list[bytes]:
    """So many frames, without their marks; fewer when the other side closed."""
    data = b""
    while data.count(END) < count and (more := line.recv(65536)):
        data += more
    return [frame.removeprefix(START) for frame in data.split(END)[:-1]]


def asked(line: socket.socket, data: bytes) -> bytes:
    line.sendall(framed(data))
    [answer] = received(line)
    return answer
