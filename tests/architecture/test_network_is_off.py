"""The network is off beyond this machine, and this proves it."""

from __future__ import annotations

import socket
import urllib.request

import pytest
from pytest_socket import SocketConnectBlockedError

ELSEWHERE = "192.0.2.1"  # TEST-NET-1 (RFC 5737): nobody's address


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_no_connection_leaves_this_machine() -> None:
    with socket.socket() as s, pytest.raises(SocketConnectBlockedError):
        s.connect((ELSEWHERE, 80))


def test_no_name_is_looked_up() -> None:
    with pytest.raises(socket.gaierror, match="no names"):
        socket.create_connection(("example.com", 80), timeout=1)


def test_not_even_by_a_library() -> None:
    with pytest.raises(OSError, match="no names"):
        urllib.request.urlopen("http://example.com/", timeout=1)


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=1):
        pass
