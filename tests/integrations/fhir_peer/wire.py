"""A peer that answers as it is told, on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jwcrypto.jwk import JWK

KEY = JWK.generate(kty="EC", crv="P-384", kid="ours", use="sig", alg="ES384")
Told = tuple[int, dict[str, str], bytes]
HERS = "p-1"


class Wire:
    """A peer that answers as told. `answers`: the beginning of a path -> what to say, or a function of the path."""

    def __init__(self) -> None:
        self.answers: dict[str, Told | Callable[[str], Told]] = {}
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        wire = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                wire.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                wire.asked.append(f"{self.command} {self.path}")
                status, headers, body = wire.told(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}/fhir"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self, path: str) -> Told:
        for beginning, answer in self.answers.items():
            if path.startswith(beginning):
                return answer(path) if callable(answer) else answer
        if path.startswith("/oauth/token"):
            return 200, {}, b'{"access_token": "t", "token_type": "bearer", "expires_in": 300}'
        return 200, {}, page()


def page(*resources: Any, **more: Any) -> bytes:
    entries = [{"resource": r, "search": {"mode": "match"}} for r in resources]
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries, **more}).encode()
