"""The trust of the demo at work: its desk and board, one recipient, one program that runs, the mother's mandate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction

from consent import board as ethics
from consent import mandates, programs, recipients
from consent.models import Organization, Person, Program, Recipient, Terms
from consent.programs import Proposal
from consent.scope import Category, Purpose
from phr.populate.cast import RESEARCH
from phr.populate.demo import DemoFamily
from phr.smart.demo import OPERATOR

CLERK = ("madoguchi", "信託窓口 例")
BOARD: Mapping[str, tuple[str, str]] = {
    "medical": ("iin-iryo", "医療委員 例"),
    "legal": ("iin-horitsu", "法律委員 例"),
    "lay": ("iin-riyosha", "利用者委員 例"),
}
TERM = timedelta(days=365)
TERMS_JA = """紡 情報信託約款（デモ）

1. あなたは、自分またはお子さんの記録の管理を紡に委任します。
2. 紡は、あなたの同意と約款に照らし、提供のたびに妥当かどうかを判断します。判断と理由はいつでも見られます。
3. 同意はいつでも、全部でも一部でも取り消せます。取り消しはその時から効き、利用できる機能は減りません。
4. 提供先は、目的の外に使わず、別の人に渡しません。事故のときは、紡がまずあなたに答えます。
"""
TERMS_EN = """Tsumugi, terms of entrustment (demo)

1. You entrust the keeping of your record, or of your child's, to Tsumugi.
2. Before anything is provided Tsumugi judges, by your consent and these terms, whether it is proper. You can always
   see the judgement and its reasons.
3. You may withdraw a consent at any time, in whole or in part. It counts at once and costs you no function.
4. A recipient uses nothing for another purpose and hands nothing on. If harm is done, Tsumugi answers to you first.
"""
PROGRAM = Proposal(
    title_ja="子どもの発育と健診の調査", title_en="A study of children's growth and check-ups", purpose=Purpose.HRESCH,
    categories=int(Category.GROWTH | Category.CHECKUP | Category.VITAL), level=2, use_class="public-interest",
    benefit_ja="お子さんの発育を同じ月齢の集計と比べた結果をお返しします。",
    benefit_en="Your child's growth beside that of children of the same age comes back to you.",
)  # fmt: skip


@transaction.atomic
def found(family: DemoFamily, *, now: datetime, password: str | None = None) -> Program:
    """Make all of it, once; returns the program."""
    running = Program.objects.filter(title_en=PROGRAM.title_en).first()
    if running is not None:
        return running
    secret = make_password(password)
    operator = Organization.objects.get(code=OPERATOR)
    clerk = _staff(CLERK, operator, secret)
    board = {_staff(told, operator, secret): role for role, told in BOARD.items()}
    if not Terms.objects.exists():
        mandates.publish(text_ja=TERMS_JA, text_en=TERMS_EN, by=clerk, now=now)
    recipient = _recipient(family, clerk, now)
    program = programs.propose(proposal=PROGRAM, recipients=[recipient], by=clerk, now=now)
    programs.submit(program=program, by=clerk, now=now)
    for about, reasons in (
        (Terms.objects.latest("version"), "委任と取り消しの条件が分かりやすく示されています。"),
        (recipient, "認証、契約、体制を確かめました。"),
        (program, "目的と項目が釣り合い、結果が本人に返ります。"),
    ):
        ethics.decide(
            about=about,
            outcome="approve",
            members=board,
            by=next(iter(board)),
            now=now,
            valid_until=now + TERM,
            reasons=reasons,
        )
    terms = mandates.current()
    assert terms is not None
    yuki = family.people["yuki"]
    mandates.accept(subject=family.subjects["yuki"], sha256=terms.sha256_ja, by=yuki, now=now)
    program.refresh_from_db()
    return program


def _recipient(family: DemoFamily, clerk: Person, now: datetime) -> Recipient:
    organization = family.organizations[RESEARCH.code]
    known = Recipient.objects.filter(organization=organization).first()
    return known or recipients.register(
        organization=organization, legal_name=organization.name, legal_number=_number(),
        address="例示県見本市例示1-1", representative="例示 太郎", contract_ref="DEMO-1",
        contract_ends_on=(now + TERM).date(), certification="プライバシーマーク（デモ） / a privacy mark (demo)",
        certified_until=now + TERM, purposes=[Purpose.HRESCH], by=clerk, now=now,
    )  # fmt: skip


def _number() -> str:
    """An invented corporate number whose check digit holds."""
    rest = "000000000001"
    return next(f"{first}{rest}" for first in range(1, 10) if recipients.checks(f"{first}{rest}"))


def _staff(told: tuple[str, str], operator: Organization, secret: str) -> Person:
    username, name = told
    found, _ = Person.objects.get_or_create(
        username=username, defaults={"name": name, "organization": operator, "password": secret}
    )
    return found
