"""Calling an address outside: only what is registered, public and trusted; bounded; never led elsewhere."""

from __future__ import annotations

import datetime
import io
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from consent import outside

Speak = Callable[[socket.socket], None]


@contextmanager
def server(speak: Speak) -> Iterator[int]:
    """A listener that hears each request to its empty line, then speaks as it likes. Yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    speak(connection)
                except OSError:
                    pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def answering(text: bytes) -> Speak:
    def speak(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(text)

    return speak


def whole(body: bytes, status: str = "200 OK", head: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


@pytest.fixture(autouse=True)
def _demo(settings: Any) -> None:
    settings.DEMO = True


def failing(port: int, **told: Any) -> str:
    with pytest.raises(outside.NotFetched) as failed:
        outside.call("GET", f"http://127.0.0.1:{port}/x", **told)
    assert "127.0.0.1" not in str(failed.value), "errors do not name the address"
    return failed.value.code


def test_an_answer_is_given_whole_with_its_headers() -> None:
    with server(answering(whole(b'{"a":1}', head="ETag: W/1\r\n"))) as port:
        answer = outside.call("GET", f"http://127.0.0.1:{port}/x?y=1")
    assert (answer.status, answer.body, answer.headers["etag"]) == (200, b'{"a":1}', "W/1")


def test_a_redirect_is_an_answer_and_leads_nowhere() -> None:
    asked: list[bytes] = []

    def speak(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))
        connection.sendall(whole(b"", "302 Found", "Location: /elsewhere\r\n"))

    with server(speak) as port:
        assert outside.call("GET", f"http://127.0.0.1:{port}/x").status == 302
    assert len(asked) == 1 and b"GET /x " in asked[0]


def test_only_registered_origins_are_called() -> None:
    with server(answering(whole(b"{}"))) as port:
        ours = outside.origin(f"http://127.0.0.1:{port}")
        assert outside.call("GET", f"http://127.0.0.1:{port}/x", origins={ours}).status == 200
        assert failing(port, origins={"http://127.0.0.1:1"}) == "other-host"
        assert failing(port, origins=()) == "other-host"


@pytest.mark.parametrize("head", ["", "Transfer-Encoding: chunked\r\n"])
def test_more_than_the_limit_is_not_read(head: str) -> None:
    body = b"x" * 3000
    text = (
        whole(body) if not head else b"HTTP/1.1 200 OK\r\n" + head.encode() + b"\r\nbb8\r\n" + body + b"\r\n0\r\n\r\n"
    )
    with server(answering(text)) as port:
        assert failing(port, most=2999) == "too-large"
        assert len(outside.call("GET", f"http://127.0.0.1:{port}/", most=3000).body) == 3000


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_who_drips_bytes_is_cut_off_in_time(head: bytes) -> None:
    """Each byte comes well within the limit of one step; the whole does not end."""

    def speak(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head)
        while True:
            connection.sendall(b"H")
            time.sleep(0.02)

    with server(speak) as port:
        assert failing(port, seconds=0.25) == "too-slow"  # else it would never end


def test_an_answer_that_ends_early_is_none() -> None:
    with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")) as port:
        assert failing(port) == "unreachable"


@pytest.mark.parametrize(
    "text",
    [b"", b"hello\r\n\r\n", b"HTTP/9.9 x\r\n\r\n", b"\x16\x03\x01" * 40,
     b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n"],
)  # fmt: skip
def test_what_is_no_http_is_no_answer(text: bytes) -> None:
    with server(answering(text)) as port:
        assert failing(port) == "unreachable"


def test_a_body_can_go_into_a_file_but_not_that_of_an_error() -> None:
    told = io.BytesIO()
    with server(answering(whole(b"line\n"))) as port:
        assert outside.call("GET", f"http://127.0.0.1:{port}/", into=told).body == b""
    with server(answering(whole(b"no", "404 Not Found"))) as port:
        assert outside.call("GET", f"http://127.0.0.1:{port}/", into=told).body == b"no"
    assert told.getvalue() == b"line\n"


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with server(answering(whole(b"{}"))) as port:
        assert outside.call("GET", f"http://127.0.0.1:{port}/").status == 200


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "192.0.0.192", "168.63.129.16",
     "100.100.100.200", "0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "fc00::1", "fd00:ec2::254", "fe80::1%eth0",
     "ff02::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001:0:1::1",
     "fec0::1", "::127.0.0.1", "::10.0.0.1", "::ffff:0:7f00:1", "5f00::1", "192.88.99.1", "2001:db8::1", "3fff::1"],
)  # fmt: skip
def test_addresses_inside_are_refused_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: [(family, 1, 6, "", (address, 443))])
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("connected"))
    with pytest.raises(outside.NotFetched, match=r"^inside"):
        outside.call("GET", "https://peer.example/")


def test_the_address_that_was_checked_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers differently the second time (rebinding) is asked once."""
    answers = iter(["93.184.215.14", "127.0.0.1", "127.0.0.1"])
    called: list[Any] = []

    def connect(address: Any, timeout: float) -> socket.socket:
        called.append(address)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: [(socket.AF_INET, 1, 6, "", (next(answers), 443))])
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(outside.NotFetched, match=r"^unreachable"):
        outside.call("GET", "https://peer.example/")
    assert called == [("93.184.215.14", 443)]


@pytest.mark.parametrize(
    ("url", "code"),
    [("http://peer.example/", "not-https"), ("ftp://peer.example/", "not-https"),
     ("file:///etc/passwd", "not-an-address"),
     ("https://u@peer.example/", "not-an-address"), ("https://:p@peer.example/", "not-an-address"),
     ("https://peer.example:99999/", "not-an-address"), ("https://peer.example/a b", "not-an-address"),
     ("https://peer.example/\r\nX: y", "not-an-address"), ("https://", "not-an-address"), ("", "not-an-address"),
     ("https://[::1", "not-an-address"), ("https://ｐeer.example/", "not-an-address")],
)  # fmt: skip
def test_only_plain_https_addresses(monkeypatch: pytest.MonkeyPatch, url: str, code: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: [(socket.AF_INET, 1, 6, "", ("93.184.215.14", 80))])
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("connected"))
    with pytest.raises(outside.NotFetched) as failed:
        outside.call("GET", url)
    assert failed.value.code == code


def test_this_machine_is_out_of_reach_outside_the_demo(settings: Any) -> None:
    settings.DEMO = False
    with server(answering(whole(b"{}"))) as port:
        assert failing(port) == "not-https"
        with pytest.raises(outside.NotFetched, match=r"^inside"):
            outside.call("GET", f"https://127.0.0.1:{port}/")


@pytest.fixture
def certified(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody we trust has signed, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)  # noqa: TID251  certificates live by the machine's clock
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "both.pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(pem))
    return path


def test_tls_is_verified(certified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified)
    heard: list[bytes] = []

    def speak(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            heard.append(secured.recv(65536))
            secured.sendall(whole(b"{}"))

    with server(speak) as port:
        with pytest.raises(outside.NotFetched, match=r"^not-trusted"):
            outside.call("GET", f"https://127.0.0.1:{port}/")
        assert not heard, "nothing was said to who could not prove who it is"
        monkeypatch.setenv("SSL_CERT_FILE", str(certified))  # now somebody we trust has signed it
        assert outside.call("GET", f"https://127.0.0.1:{port}/").status == 200
