"""`manage.py mllp --organization CODE`: listens for HL7 v2.5 messages (MLLP), answers when they are kept."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from consent.models import Organization
from integrations.hl7 import connector, mllp
from integrations.hl7.listening import listen


class Command(BaseCommand):
    help = "HL7の電文をMLLPで受け取ります。Receives HL7 messages over MLLP, for one organisation."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="CODE", help="医療機関コード10桁 / its 10 digits")
        parser.add_argument("--bind", default="127.0.0.1", help="待ち受けるアドレス / address to listen at")
        parser.add_argument("--port", type=int, default=2575, help="ポート / port (2575)")
        parser.add_argument("--tls-cert", type=Path, help="サーバ証明書 / certificate chain (PEM)")
        parser.add_argument("--tls-key", type=Path, help="秘密鍵 / its key (PEM)")
        parser.add_argument("--client-ca", type=Path, help="相手の認証局 / senders must show a certificate of this CA")
        parser.add_argument("--hl7", default="", metavar="PROFILE", help=f"読み方 / {', '.join(connector.profiles())}")
        parser.add_argument("--threads", type=int, default=4, help="同時に保存する数 / messages kept at once")
        parser.add_argument("--connections", type=int, default=100, help="同時接続の上限 / most connections")
        parser.add_argument("--plain", action="store_true", help="閉域網でTLSなし / no TLS on a closed network")

    def handle(self, *args: Any, organization: str, bind: str, port: int, hl7: str, threads: int, connections: int,
               **options: Any) -> None:  # fmt: skip
        sender = self._sender(organization)
        if hl7 not in connector.profiles():
            raise CommandError(f"知らない読み方です。Unknown profile: {hl7}")
        tls = self._tls(options, bind=bind)
        serving = listen(
            sender, host=bind, port=port, profile=hl7, clock=timezone.now, threads=threads, tls=tls,
            limits=mllp.Limits(connections=connections, each=max(connections // 2, 1)), started=self._say,
        )  # fmt: skip
        try:
            asyncio.run(serving)
        except OSError as error:
            raise CommandError(f"{bind}:{port} で待ち受けできません。Cannot listen there: {error.strerror}") from None
        self.stdout.write("終了しました。Stopped.")

    def _sender(self, code: str) -> Organization:
        found = Organization.objects.filter(code=code, kind__in=connector.SENDERS).first()
        if found is None:
            raise CommandError(f"{code}: そのような医療機関はありません。There is no such hospital or clinic.")
        return found

    def _tls(self, options: dict[str, Any], *, bind: str) -> ssl.SSLContext | None:
        cert, key, authority = options["tls_cert"], options["tls_key"], options["client_ca"]
        if cert:
            try:
                return mllp.tls_context(cert, key, client_ca=authority)
            except OSError as error:
                raise CommandError(f"証明書を読めません。The certificate cannot be used: {error.strerror}") from None
        if key or authority:
            raise CommandError("--tls-cert が必要です。--tls-key and --client-ca need --tls-cert.")
        if not options["plain"] and not _is_loopback(bind):
            raise CommandError("TLSなしでは 127.0.0.1 だけです。Without TLS only loopback; or --plain")
        return None

    def _say(self, port: int) -> None:
        self.stdout.write(f"MLLP 待ち受け中 listening: {port}")
        self.stdout.flush()


def _is_loopback(bind: str) -> bool:
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return bind == "localhost"
