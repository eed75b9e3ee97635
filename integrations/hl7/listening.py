"""The MLLP listener of one organisation: messages from sockets to the record, in threads that hold connections."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier

from django.db import close_old_connections, connections

from consent.models import Organization
from integrations import taking
from integrations.hl7 import receiving
from integrations.hl7.answers import refusal
from integrations.hl7.mllp import Limits, Listener
from integrations.hl7.wording import say

log = logging.getLogger(__name__)
CLIENT = "mllp"


def answered(data: bytes, *, organization: Organization, profile: str, now: datetime) -> bytes:
    """Keep a message and say what became of it. Raises nothing: whatever goes wrong, the sender sends again."""
    try:
        close_old_connections()
        by = taking.caller_for(organization, client=CLIENT)
        answer = receiving.receive(data, organization=organization, by=by, now=now, profile=profile)
    except Exception as error:  # noqa: BLE001 - a message must be answered; nothing of it was committed
        log.error("mllp: not kept: %s", type(error).__name__)
        answer = refusal([say("not-now")])
    return receiving.acknowledged(data, answer, now=now)


async def listen(
    organization: Organization, *, host: str, port: int, profile: str, clock: Callable[[], datetime], threads: int = 4,
    tls: ssl.SSLContext | None = None, limits: Limits | None = None, started: Callable[[int], None] = lambda port: None,
    stopping: asyncio.Event | None = None,
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT, or until `stopping` is set; what was begun is answered."""
    stop = stopping or asyncio.Event()
    loop = asyncio.get_running_loop()
    if stopping is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="mllp")

    async def answer(data: bytes) -> bytes:
        def work() -> bytes:
            return answered(data, organization=organization, profile=profile, now=clock())

        return await loop.run_in_executor(pool, work)

    listener = Listener(answer, limits=limits)
    started(await listener.start(host, port, tls=tls))
    await stop.wait()
    await listener.stop()
    barrier = Barrier(threads)  # each thread has a connection of its own to close

    def close() -> None:
        barrier.wait(timeout=10)
        connections.close_all()

    await asyncio.gather(*(loop.run_in_executor(pool, close) for _ in range(threads)))
    pool.shutdown(wait=False)
