"""Fetching a client's keys: only what is public, small, quick and where it says it is."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from phr.smart import keys
from phr.smart.assertion import AssertionRefused
from phr.smart.models import Application


class Shelf(BaseHTTPRequestHandler):
    """Answers by path; counts what it was asked."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = json.dumps({"keys": [{"kid": "a", "kty": "EC"}, "odd"]}).encode()
        status = 302 if self.path == "/away" else 200
        if self.path == "/large":
            body = b" " * (keys.MAX_BYTES + 1)
        if self.path == "/list":
            body = b"[]"
        if self.path == "/broken":
            body = b"{"
        self.send_response(status)
        if self.path == "/kept":
            self.send_header("Cache-Control", "public, max-age=60")
        if status == 302:
            self.send_header("Location", "/jwks")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def shelf() -> Iterator[str]:
    Shelf.asked = []
    keys._cache.clear()
    server = HTTPServer(("127.0.0.1", 0), Shelf)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def demo(settings: Any) -> None:
    settings.DEMO = True


@pytest.mark.usefixtures("demo")
def test_the_demo_may_fetch_from_this_machine(shelf: str) -> None:
    assert keys.fetch(shelf + "/jwks") == ([{"kid": "a", "kty": "EC"}], 0)


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("path", ["/away", "/large", "/list", "/broken"])
def test_what_is_not_taken(shelf: str, path: str) -> None:
    with pytest.raises(AssertionRefused):
        keys.fetch(shelf + path)


@pytest.mark.usefixtures("demo")
@pytest.mark.spec("SMART App Launch 2.2", "client-confidential-asymmetric", "no caching beyond Cache-Control")
@pytest.mark.parametrize(("path", "times"), [("/kept", 1), ("/jwks", 2)])
def test_keys_are_kept_only_as_long_as_allowed(shelf: str, path: str, times: int) -> None:
    client = Application(client_jwks_uri=shelf + path)
    keys.keys_of(client)
    keys.keys_of(client)
    assert len(Shelf.asked) == times


def test_outside_the_demo_this_machine_is_out_of_reach(shelf: str) -> None:
    with pytest.raises(AssertionRefused):
        keys.fetch(shelf + "/jwks")
    with pytest.raises(AssertionRefused):
        keys.fetch(shelf.replace("http", "https") + "/jwks")
    assert not Shelf.asked


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "fc00::1",
     "fe80::1%eth0", "224.0.0.1", "::ffff:127.0.0.1"],
)  # fmt: skip
def test_names_that_point_inside_are_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = [(family, socket.SOCK_STREAM, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: found)
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("connected"))
    with pytest.raises(AssertionRefused):
        keys.fetch("https://keys.example/jwks")


def test_one_inside_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 443)) for a in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: found)
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("connected"))
    with pytest.raises(AssertionRefused):
        keys.fetch("https://keys.example/jwks")


@pytest.mark.parametrize(
    "uri",
    ["http://keys.example/jwks", "ftp://keys.example/", "file:///etc/passwd", "https://u@keys.example/", "https://"],
)
def test_only_plain_https_addresses(uri: str) -> None:
    with pytest.raises(AssertionRefused):
        keys.fetch(uri)


def test_inline_keys_are_used_first() -> None:
    client = Application(client_jwks={"keys": [{"kid": "inline"}]}, client_jwks_uri="https://keys.example")
    assert [key["kid"] for key in keys.keys_of(client)] == ["inline"]
