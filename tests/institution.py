"""The trust at work, for tests: its desk, its board, a recipient, a program that runs, a mandate, a consent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from consent import board, grants, mandates, programs, provisions, recipients
from consent.decide import Caller, Capacity
from consent.models import (
    EthicsDecision,
    Grant,
    Mandate,
    Organization,
    Person,
    Program,
    Provision,
    ProvisionRequest,
    Recipient,
    Subject,
    Terms,
)
from consent.programs import Proposal
from consent.provisions import Asking
from consent.receipts import Terms as Said
from consent.scope import Category, Clause, Door

LONG = timedelta(days=300)
GROWTH = int(Category.GROWTH)
BOARD = ("medical", "legal", "lay")
PROPOSAL = Proposal(
    title_ja="発育の調査", title_en="A study of growth", purpose="HRESCH", categories=GROWTH | int(Category.VITAL),
    level=2, use_class="public-interest", benefit_ja="結果を返します", benefit_en="Results come back to everybody",
)  # fmt: skip
SAID = Said(
    benefit="結果を返します", profiling=False, onward=False, use_class="public-interest", withdrawal="アプリで",
    contact="desk@example.jp",
)  # fmt: skip


@dataclass
class Trust:
    """Everybody at the desk, and the moment it stands at."""

    now: datetime
    clerk: Person  # proposes and keeps the registry
    board: dict[Person, str]

    @property
    def chair(self) -> Person:
        """Who writes down what the board decided: not who proposed it."""
        return next(iter(self.board))

    # -- the desk ------------------------------------------------------------------------------

    def organization(self, name: str = "例示大学", kind: str = "research") -> Organization:
        code = f"R{Organization.objects.count():09d}"
        return Organization.objects.create(name=name, kind=kind, code=code, class_from=self.now - LONG)

    def recipient(self, organization: Organization | None = None, **more: Any) -> Recipient:
        told: dict[str, Any] = {
            "organization": organization or self.organization(), "legal_name": "学校法人 例示大学",
            "legal_number": "7000012050002", "address": "例示市1-1", "representative": "例示 太郎",
            "contract_ref": "C-2026-1", "contract_ends_on": (self.now + LONG).date(), "certification": "P mark",
            "certified_until": self.now + LONG, "purposes": ["HRESCH"], "by": self.clerk, "now": self.now,
        }  # fmt: skip
        made = recipients.register(**(told | more))
        self.approved(made)
        made.refresh_from_db()
        return made

    def approved(self, about: Recipient | Terms | Program, outcome: str = "approve", **more: Any) -> EthicsDecision:
        """The board's word on anything, for ten years."""
        told: dict[str, Any] = {"members": self.board, "reasons": "審査の結果", "by": self.chair, "now": self.now,
                                "valid_until": self.now + 12 * LONG}  # fmt: skip
        return board.decide(about=about, outcome=outcome, **(told | more))

    def proposed(self, *to: Recipient, **more: Any) -> Program:
        return programs.propose(proposal=replace(PROPOSAL, **more), recipients=to, by=self.clerk, now=self.now)

    def decided(self, program: Program, outcome: str = "approve", **more: Any) -> None:
        told: dict[str, Any] = {
            "about": program, "outcome": outcome, "members": self.board, "reasons": "審査の結果", "by": self.chair,
            "now": self.now, "valid_until": self.now + LONG,
        }  # fmt: skip
        board.decide(**(told | more))
        program.refresh_from_db()

    def program(self, *to: Recipient, **more: Any) -> Program:
        """One that runs."""
        made = self.proposed(*to, **more)
        programs.submit(program=made, by=self.clerk, now=self.now)
        self.decided(made)
        return made

    def terms(self, words: str = "第一版") -> str:
        """Publish a version; the hash of its Japanese text."""
        made = mandates.publish(text_ja=words, text_en=f"{words} (en)", by=self.clerk, now=self.now)
        self.approved(made)
        return made.sha256_ja

    # -- people ----------------------------------------------------------------------------------

    def entrusted(self, subject: Subject, by: Person) -> Mandate:
        terms = mandates.current()
        sha256 = self.terms() if terms is None else terms.sha256_ja
        return mandates.accept(subject=subject, sha256=sha256, by=by, now=self.now)

    def given(
        self, subject: Subject, by: Person, actor: str, *, capacity: str = "self", ask: bool = False, **more: Any
    ) -> Grant:
        """Consent to research on growth, for half a year; `more` changes the Clause, or what was shown beside it."""
        said = replace(SAID, **{k: more.pop(k) for k in ("profiling", "onward", "program") if k in more})
        clause: dict[str, Any] = {
            "permit": True, "actors": frozenset({actor}), "purposes": frozenset({"HRESCH"}),
            "categories": frozenset({"GROWTH"}), "data_low": self.now - timedelta(days=3650),
            "data_high": self.now + LONG, "valid_to": self.now + timedelta(days=180),
        }  # fmt: skip
        root = Clause(**(clause | more))
        return grants.give(subject=subject, root=root, by=by, capacity=capacity, now=self.now, terms=said, ask=ask)

    # -- recipients ------------------------------------------------------------------------------

    def asked(self, program: Program, by: Recipient, *, now: datetime | None = None, **more: Any) -> ProvisionRequest:
        told: dict[str, Any] = {
            "reference": f"r-{ProvisionRequest.objects.count()}", "program": program.pk, "purpose": "HRESCH",
            "categories": GROWTH, "level": 2, "until": self.now + timedelta(days=90),
        }  # fmt: skip
        return provisions.ask(asking=Asking(**(told | more)), by=system_of(by), now=now or self.now)


def system_of(recipient: Recipient, **more: Any) -> Caller:
    told: dict[str, Any] = {
        "client": "study", "capacity": Capacity.SYSTEM, "purpose": "HRESCH", "doors": (Door("*", "rs"),),
        "organization": recipient.organization_id,
    }  # fmt: skip
    return Caller(**(told | more))


def trust(now: datetime) -> Trust:
    """Found it: an operator, a clerk, and a board of three."""
    operator, _ = Organization.objects.get_or_create(code="0000000000", defaults={"name": "運営", "kind": "operator"})
    clerk = Person.objects.create(username="clerk", name="事務", organization=operator)
    board = {
        Person.objects.create(username=f"board-{role}", name=f"委員 {role}", organization=operator): role
        for role in BOARD
    }
    return Trust(now, clerk, board)


def one(request: ProvisionRequest) -> Provision:
    """The only Provision of a request."""
    return request.provisions.get()


def day(text: str) -> date:
    return date.fromisoformat(text)
