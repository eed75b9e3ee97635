"""MLLP: messages over TCP, each framed by VT … FS CR and answered before the next is read. No Django here.

Source: HL7 v2.5 Implementation Support, Minimal Lower Layer Protocol 1; IHE ITI TF-2, 3.19 for TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

Answering = Callable[[bytes], Awaitable[bytes]]  # one message, unframed -> its ACK, unframed; never raises
START, END = b"\x0b", b"\x1c\r"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may take. Seconds and bytes."""

    message: int = 1 << 20
    connections: int = 100
    each: int = 50  # connections of one address
    first: float = 30.0  # from connecting to the first byte
    idle: float = 600.0  # between messages
    arriving: float = 30.0  # from the first byte of a message to its last
    closing: float = 20.0  # for what is being answered when the listener is to stop


class _Broken(Exception):
    """The peer does not keep to MLLP, or to the limits."""


@dataclass(slots=True)
class _Line:
    """A connection. `since`: when it was last heard of, by the clock of the loop."""

    address: str
    since: float
    busy: bool = False  # a message is being answered
    spoke: bool = False  # it has sent a whole message


class Listener:
    """Takes connections until it is told to stop."""

    def __init__(self, answer: Answering, *, limits: Limits | None = None) -> None:
        self._answer, self._limits = answer, limits or Limits()
        self._peers: dict[asyncio.Task[None], _Line] = {}
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> int:
        """Begin to listen; returns the port (0 asks for any)."""
        limit = self._limits.message + len(END) + 1
        handshake = self._limits.arriving if tls else None
        self._server = await asyncio.start_server(
            self._connected, host, port, ssl=tls, limit=limit, ssl_handshake_timeout=handshake
        )
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def stop(self) -> None:
        """Take no more; let what is being answered be answered, then close."""
        assert self._server is not None
        self._server.close()
        for peer, line in list(self._peers.items()):
            if not line.busy:
                peer.cancel()
        if self._peers:
            _, late = await asyncio.wait(list(self._peers), timeout=self._limits.closing)
            for peer in late:
                peer.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = asyncio.current_task()
        assert peer is not None
        try:
            line = _Line(str((writer.get_extra_info("peername") or ("",))[0]), asyncio.get_running_loop().time())
            if not self._room(line.address):
                log.warning("mllp: too many connections")
                return
            self._peers[peer] = line
            await self._talk(line, reader, writer)
        except (_Broken, ConnectionError, TimeoutError, ssl.SSLError) as error:
            log.info("mllp: connection ended: %s", type(error).__name__)
        except asyncio.CancelledError:  # told to stop
            pass
        finally:
            self._peers.pop(peer, None)
            writer.close()
            with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError, asyncio.CancelledError):
                await asyncio.wait_for(writer.wait_closed(), timeout=self._limits.closing)

    def _room(self, address: str) -> bool:
        """Whether one more may come. Where all are taken, who has been silent longest goes: never sent anything, first.

        One address can take no more than its share, and so cannot drive out the others.
        """
        if sum(line.address == address for line in self._peers.values()) >= self._limits.each:
            return self._dropped(address)
        return len(self._peers) < self._limits.connections or self._dropped("")

    def _dropped(self, address: str) -> bool:
        """Let the longest idle go, of this address, or of any (""). False where all are at work."""
        idle = [p for p, line in self._peers.items() if not line.busy and address in ("", line.address)]
        if not idle:
            return False
        longest = min(idle, key=lambda p: (self._peers[p].spoke, self._peers[p].since))
        self._peers.pop(longest)
        longest.cancel()
        log.info("mllp: an idle connection makes room")
        return True

    async def _talk(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self._server is not None and self._server.is_serving():
            message = await self._message(line, reader)
            if message is None:
                return
            line.busy = line.spoke = True
            writer.write(START + await self._answer(message) + END)
            await asyncio.wait_for(writer.drain(), timeout=self._limits.arriving)
            line.busy, line.since = False, asyncio.get_running_loop().time()

    async def _message(self, line: _Line, reader: asyncio.StreamReader) -> bytes | None:
        """The next message; None where the peer has said all. Raises _Broken, TimeoutError."""
        async with asyncio.timeout(self._limits.idle if line.spoke else self._limits.first):
            first = await reader.read(1)
            while first in (b"\r", b"\n"):  # some senders put one behind a frame
                first = await reader.read(1)
        if not first:
            return None
        if first != START:
            raise _Broken
        try:
            framed = await asyncio.wait_for(reader.readuntil(END), timeout=self._limits.arriving)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise _Broken from None
        return framed[: -len(END)]


def tls_context(cert: Path, key: Path | None, *, client_ca: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 and later. `client_ca`: senders must show a certificate of this authority. Raises OSError (SSLError)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
