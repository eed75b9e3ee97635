"""`manage.py peer add|check|list|sync|pause|resume|remove|retry`: the FHIR servers we keep in step with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count
from django.utils import timezone

from consent.models import Organization
from consent.scope import Category, Purpose
from integrations.fhir_peer import client, keys, launching, pushing, registry, syncing
from integrations.fhir_peer.client import Failed
from integrations.models import Peer, PeerDelivery


class Command(BaseCommand):
    help = "同期する相手のFHIRサーバーを管理します。Registers and looks after the FHIR servers we keep in step with."

    def add_arguments(self, parser: CommandParser) -> None:
        deeds = parser.add_subparsers(dest="deed", required=True)
        self._add(deeds.add_parser("add", help="登録 / register one"))
        deeds.add_parser("list", help="一覧 / list all")
        for name, help in (
            ("check", "接続を試す / try whether it answers us"), ("sync", "今すぐ同期 / bring it up to date now"),
            ("pause", "休止 / pause"), ("resume", "再開 / resume"), ("remove", "登録の終了 / remove: its links end"),
            ("retry", "送れなかったものを送り直す / try again what was given up"),
        ):  # fmt: skip
            deeds.add_parser(name, help=help).add_argument("code")

    def _add(self, parser: CommandParser) -> None:
        told = parser.add_argument
        told("code", help="短い名前 / a short name: letters, digits, hyphens")
        told("base", help="FHIR の基底URL / base URL of its FHIR API")
        told("--client", required=True, help="相手での client id / what we are called there")
        told("--launch-client", default="", metavar="ID",
             help="本人が連結するときの client id / what we are called where people sign in there")  # fmt: skip
        told("--organization", required=True, metavar="CODE", help="相手の機関コード / code of its organisation here")
        told("--name", help="表示名 / a name for people")
        told("--algorithm", choices=sorted(keys.ALGORITHMS), default="ES384")
        told("--purpose", default=Purpose.TREAT.value, help="利用目的 / for which it reads here (TREAT)")
        told("--type", action="append", default=[], help="扱う型 / a resource type; again for more")
        told("--category", action="append", default=[], choices=sorted(Category.__members__), metavar="CATEGORY",
             help="扱う区分 / a category of data; again for more; none: all")  # fmt: skip
        told("--no-pull", action="store_true", help="取得しない / do not fetch from it")
        told("--no-push", action="store_true", help="送らない / send nothing to it")
        told("--bulk", default="", help="$export で取得 / fetch by $export: Patient or Group/ID")
        told(
            "--also", action="append", default=[], metavar="URL", help="ほかに呼んでよい所 / another origin of its own"
        )

    def handle(self, *args: Any, deed: str, **options: Any) -> None:
        now = timezone.now()
        try:
            if deed == "add":
                self._added(options, now)
            elif deed == "list":
                self._list()
            else:
                getattr(self, f"_{deed}")(self._peer(options["code"]), now)
        except registry.Unfit as error:
            raise CommandError(str(error)) from None
        except Failed as failed:
            raise CommandError(f"相手が応じません。 The peer does not answer as it must: {failed.code}") from None

    def _added(self, options: dict[str, Any], now: datetime) -> None:
        base = options["base"].rstrip("/")
        organization = Organization.objects.filter(code=options["organization"], state="active").first()
        if organization is None:
            raise CommandError("その機関はありません。There is no such organisation (or it is not active).")
        origins = registry.origins_of(base, options["also"])
        found = client.configuration(base, origins=origins)
        if found.algorithms and options["algorithm"] not in found.algorithms:
            raise CommandError(f"相手の署名方式: The peer takes {', '.join(found.algorithms)} (--algorithm).")
        peer = registry.add(
            code=options["code"], name=options["name"] or organization.name, base=base, client_id=options["client"],
            organization=organization, found=found, origins=origins, algorithm=options["algorithm"],
            types=options["type"] or registry.DEFAULT_TYPES, categories=options["category"],
            purpose=options["purpose"], pulls=not options["no_pull"], pushes=not options["no_push"],
            bulk=options["bulk"].strip("/"), launch_client=options["launch_client"], now=now,
        )  # fmt: skip
        if peer.launch_client:
            self.stdout.write(f"redirect_uri: {launching.callback_url()}")
        self.stdout.write(
            f"登録しました。相手にこの鍵の住所を登録してください。 Registered. Give the peer our keys' address:\n"
            f"  {registry.jwks_url()}  (kid {peer.kid}, {peer.algorithm})"
        )

    def _list(self) -> None:
        for peer in Peer.objects.select_related("organization").order_by("code"):
            waiting = dict(peer.deliveries.values_list("state").annotate(count=Count("pk")))
            ways = " ".join(w for w, on in (("pull", peer.pulls), ("push", peer.pushes)) if on)
            last = f"{peer.ok_at:%Y-%m-%d %H:%M}" if peer.ok_at else "-"
            trouble = f" {peer.problem} ×{peer.failures}" if peer.problem else ""
            counts = " ".join(f"{state}={waiting[state]}" for state in PeerDelivery.State.values if state in waiting)
            linked = registry.numbers(peer).count()
            self.stdout.write(f"{peer.code}  {peer.state}  {ways}  linked={linked}  {counts}  last={last}{trouble}")

    def _check(self, peer: Peer, now: datetime) -> None:
        found = client.configuration(peer.base, origins=peer.origins)
        if found.token_url != peer.token_url:
            Peer.objects.filter(pk=peer.pk).update(token_url=found.token_url)
            peer.token_url = found.token_url
            self.stdout.write("トークンの住所が変わりました。 Its token endpoint has moved; noted.")
        client.forget_token(peer)
        answer = client.get(peer, f"{peer.base}/metadata", clock=timezone.now)
        self.stdout.write(f"応答しています。 It answers, and takes our key ({len(answer.body)} bytes of metadata).")

    def _sync(self, peer: Peer, now: datetime) -> None:
        Peer.objects.filter(pk=peer.pk, state=Peer.State.ACTIVE).update(next_at=now)
        if not syncing.sync(peer.pk, clock=timezone.now):
            peer.refresh_from_db()
            raise CommandError(f"終わりませんでした。 Not done: {peer.problem or 'not active, or another is at it'}")
        self.stdout.write("同期しました。 In step.")

    def _pause(self, peer: Peer, now: datetime) -> None:
        registry.change(peer, Peer.State.PAUSED, now=now)

    def _resume(self, peer: Peer, now: datetime) -> None:
        registry.change(peer, Peer.State.ACTIVE, now=now)

    def _remove(self, peer: Peer, now: datetime) -> None:
        registry.change(peer, Peer.State.ENDED, now=now)
        self.stdout.write("終了しました。鍵と連結はもうありません。 Removed: its key and its links are gone.")

    def _retry(self, peer: Peer, now: datetime) -> None:
        given_up = list(peer.deliveries.filter(state=PeerDelivery.State.DEAD).values_list("pk", flat=True))
        for id in given_up:
            pushing.retry(id, now=now)
        self.stdout.write(f"{len(given_up)} 件を送り直します。 To be sent again: {len(given_up)}.")

    def _peer(self, code: str) -> Peer:
        found = Peer.objects.select_related("organization").filter(code=code).first()
        if found is None:
            raise CommandError(f"{code}: そのような相手はありません。There is no such peer.")
        return found
