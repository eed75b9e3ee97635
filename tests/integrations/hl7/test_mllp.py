"""The MLLP layer alone: frames, limits, many peers, a clean end. No database."""

from __future__ import annotations

import asyncio
import re
import shlex
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integrations.hl7.mllp import END, START, Limits
from integrations.management.commands import mllp as mllp_command
from tests.integrations.hl7.wire import answering, connect, framed, received, serving


async def echo(data: bytes) -> bytes:
    return b"ACK " + data


def closed(line: socket.socket) -> bool:
    try:
        return line.recv(10) == b""
    except ConnectionError:
        return True


def connect_from(address: str, port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))


def test_frames_that_come_together_are_answered_in_order() -> None:
    with serving(answering(echo)) as (port, _), connect(port) as line:
        line.sendall(START + b"one\r" + END + b"\r\n" + START + b"two" + END)
        assert received(line, 2) == [b"ACK one\r", b"ACK two"]


def test_a_frame_in_pieces_is_one_message() -> None:
    with serving(answering(echo)) as (port, _), connect(port) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in framed(b"x\x1cy"):
            line.sendall(bytes((byte,)))
        assert received(line) == [b"ACK x\x1cy\r"]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", START + b"x" * 5000 + END, START + b"y" * 9000])
def test_who_does_not_keep_to_the_protocol_is_left(data: bytes) -> None:
    with serving(answering(echo, Limits(message=1000))) as (port, _), connect(port) as line:
        line.sendall(data)
        assert closed(line)
        with connect(port) as other:
            other.sendall(framed(b"z"))
            assert received(other) == [b"ACK z\r"]


def test_who_does_not_finish_is_left() -> None:
    limits = Limits(arriving=0.1, first=0.1)
    with serving(answering(echo, limits)) as (port, _), connect(port) as slow, connect(port) as silent:
        slow.sendall(START + b"half")
        assert closed(slow)
        assert closed(silent)


def test_who_is_silent_makes_room() -> None:
    """First those that never said a thing, then who was silent longest; nobody takes more than a share."""
    with (
        serving(answering(echo, Limits(connections=3, each=2))) as (port, _),
        connect(port) as sender,
        connect(port) as silent,
    ):
        sender.sendall(framed(b"a"))
        assert received(sender)
        with connect(port) as third, connect_from("127.0.0.2", port) as other:
            assert closed(silent)
            for line in (third, other, sender):
                line.sendall(framed(b"z"))
                assert received(line) == [b"ACK z\r"]
            with connect_from("127.0.0.3", port) as late:
                late.sendall(framed(b"z"))
                assert received(late) == [b"ACK z\r"]
                assert closed(third), "of all who have spoken it was silent longest"


def test_no_more_connections_than_allowed() -> None:
    """Who is being answered is not sent away for another."""

    async def slowly(data: bytes) -> bytes:
        begun.set()
        await asyncio.sleep(0.3)
        return b"late"

    begun = threading.Event()
    with serving(answering(slowly, Limits(connections=1))) as (port, _), connect(port) as line:
        line.sendall(framed(b"z"))
        assert begun.wait(5)
        with connect(port) as second:
            assert closed(second)
        assert received(line) == [b"late"]


def test_many_peers_at_once() -> None:
    def talk(number: int) -> list[bytes]:
        with connect(port) as line:
            line.sendall(framed(b"%d" % number) * 5)
            return received(line, 5)

    with serving(answering(echo)) as (port, _), ThreadPoolExecutor(20) as pool:
        for number, answers in enumerate(pool.map(talk, range(20))):
            assert answers == [b"ACK %d\r" % number] * 5


def test_what_was_begun_is_answered_before_the_end() -> None:
    begun = []

    async def slowly(data: bytes) -> bytes:
        begun.append(data)
        stop()
        await asyncio.sleep(0.2)
        return b"late"

    with serving(answering(slowly)) as (port, stop), connect(port) as line, connect(port) as idle:
        line.sendall(framed(b"one") + framed(b"two"))
        assert received(line, 2) == [b"late"], "the second was not begun, so its sender sends it again"
        assert closed(idle)
    assert begun == [b"one\r"]
    with pytest.raises(ConnectionRefusedError):
        connect(port)


def test_the_service_of_the_compose_file_calls_the_listener_with_tls_and_flags_it_knows() -> None:
    text = (Path(__file__).parents[3] / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    [said] = re.findall(r"python manage\.py mllp ([^\n]+\n[^\n]+)", text)
    options = mllp_command.Command().create_parser("manage.py", "mllp").parse_args(shlex.split(said))
    assert (options.bind, options.port, options.plain) == ("0.0.0.0", 2575, False)
    assert options.tls_cert
    assert options.tls_key
    assert options.client_ca
