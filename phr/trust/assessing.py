"""The yearly self-assessment (IT-31): for each duty the tests that prove it, and the year's figures from the tables.

Counts and codes only: it may be handed to the certifying body as it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db.models import Count, F, Q

from consent import governance, rules, sealing
from consent.log_view import REFUSALS
from consent.models import (
    AuditBatch,
    AuditEntry,
    Correction,
    EmergencyAccess,
    Erasure,
    Grant,
    LegalHold,
    Recipient,
    Transfer,
)
from phr.trust import junit
from phr.trust.duties import duties

Told = dict[str, Any]
SOON = timedelta(days=90)


def pack(
    *,
    tests: Path,
    since: datetime,
    until: datetime,
    now: datetime,
    public_key: Ed25519PublicKey,
    outcomes: Mapping[str, str] | None = None,
) -> Told:
    """Everything, as JSON. A duty without a test stands there with none. `outcomes`: of a run (`junit.outcomes`)."""
    proved = proofs(tests)
    return {
        "since": since.isoformat(), "until": until.isoformat(), "made_at": now.isoformat(),
        "duties": [
            {"id": id, "ja": ja, "en": en, "tests": proved.get(id, []), **_results(proved.get(id, []), outcomes)}
            for id, (ja, en) in duties().items()
        ],
        "unproved": [id for id in duties() if id not in proved],
        "figures": figures(since=since, until=until, now=now, public_key=public_key),
        "governance": governance.report(since=since, until=until, now=now),
        "faults": governance.faults(now=now),
    }  # fmt: skip


# -- proofs ------------------------------------------------------------------------------------------


def proofs(tests: Path) -> dict[str, list[str]]:
    """The tests marked with a duty's id, "path::name", read from their source. Empty where no tests are here."""
    found: dict[str, list[str]] = {}
    for file in sorted(tests.rglob("test_*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        above = [id for node in tree.body if _is_pytestmark(node) for id in _marks(node)]
        for name, ids in _tests(tree.body, above):
            for id in ids:
                found.setdefault(id, []).append(f"{file.relative_to(tests.parent)}::{name}")
    return found


def _results(tests: list[str], outcomes: Mapping[str, str] | None) -> Told:
    """How each test ended, and the worst of them; nothing where no run was given."""
    if outcomes is None:
        return {}
    each = {test: junit.of(test, outcomes) for test in tests}
    return {"results": each, "result": junit.worst(each.values())}


def _tests(body: list[ast.stmt], above: list[str], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            own = [id for decorator in node.decorator_list for id in _marks(decorator)]
            yield from _tests(node.body, above + own, f"{prefix}{node.name}::")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            own = [id for decorator in node.decorator_list for id in _marks(decorator)]
            yield prefix + node.name, sorted(set(above + own))


def _is_pytestmark(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)


def _marks(node: ast.AST) -> Iterator[str]:
    """`pytest.mark.IT("14")`, `pytest.mark.G(7, "08")`, wherever they stand in a decorator."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in ("IT", "G"):
            for argument in call.args:
                if isinstance(argument, ast.Constant):
                    yield f"{call.func.attr}-{str(argument.value).removeprefix(f'{call.func.attr}-').zfill(2)}"


# -- figures -----------------------------------------------------------------------------------------


def figures(*, since: datetime, until: datetime, now: datetime, public_key: Ed25519PublicKey) -> Told:
    """The year in numbers."""
    return {
        "consents": _consents(since, until), "refusals": _refusals(since, until),
        "emergencies": _emergencies(since, until, now), "rights": _rights(since, until, now),
        "expiring": _expiring(now), "log": _log(public_key),
    }  # fmt: skip


def _consents(since: datetime, until: datetime) -> Told:
    states = Grant.objects.values_list("state").annotate(n=Count("pk"))
    return {
        "given": Grant.objects.filter(given_at__gte=since, given_at__lt=until).count(),
        "ended": Grant.objects.filter(ended_at__gte=since, ended_at__lt=until).count(),
        "now": dict(states),
    }  # fmt: skip


def _refusals(since: datetime, until: datetime) -> Told:
    rows = AuditEntry.objects.filter(event__in=REFUSALS, at__gte=since, at__lt=until)
    return dict(rows.values_list("event").annotate(n=Count("pk")))


def _emergencies(since: datetime, until: datetime, now: datetime) -> Told:
    opened = EmergencyAccess.objects.filter(opened_at__gte=since, opened_at__lt=until)
    return opened.aggregate(
        opened=Count("pk"), whole_record=Count("pk", filter=Q(step=2)),
        reviewed=Count("pk", filter=Q(reviewed_at__isnull=False)),
        reviewed_late=Count("pk", filter=Q(reviewed_at__gt=F("review_due_at"))),
        overdue=Count("pk", filter=Q(reviewed_at=None, review_due_at__lt=now)),
        unjustified=Count("pk", filter=Q(outcome=EmergencyAccess.Outcome.UNJUSTIFIED)),
    )  # fmt: skip


def _rights(since: datetime, until: datetime, now: datetime) -> Told:
    today = rules.today_in_japan(now)
    disclosed = AuditEntry.objects.filter(event="record:disclosed", at__gte=since, at__lt=until)
    erasures = Erasure.objects.filter(asked_at__gte=since, asked_at__lt=until)
    corrections = Correction.objects.filter(asked_at__gte=since, asked_at__lt=until)
    moves = Transfer.objects.filter(asked_at__gte=since, asked_at__lt=until)
    holds = LegalHold.objects.filter(Q(until=None) | Q(until__gt=today), lifted_at=None)
    return {
        "disclosures": disclosed.count(), "erasures": dict(erasures.values_list("state").annotate(n=Count("pk"))),
        "corrections": dict(corrections.values_list("state").annotate(n=Count("pk"))),
        "transfers": dict(moves.values_list("state").annotate(n=Count("pk"))), "holds_standing": holds.count(),
    }  # fmt: skip


def _expiring(now: datetime) -> list[Told]:
    """Contracts and certifications that end soon, or have."""
    day = rules.today_in_japan(now + SOON)
    rows = Recipient.objects.filter(
        Q(contract_ends_on__lte=day) | Q(certified_until__lte=now + SOON), state=Recipient.State.ACTIVE
    ).order_by("pk")
    return [
        {"recipient": row.pk, "contract_ends_on": row.contract_ends_on.isoformat(),
         "certified_until": row.certified_until.isoformat() if row.certified_until else None}
        for row in rows
    ]  # fmt: skip


def _log(public_key: Ed25519PublicKey) -> Told:
    problems = sealing.verify(public_key=public_key)
    last = AuditBatch.objects.order_by("-sequence").first()
    return {
        "verified": not problems, "problems": len(problems), "batches": last.sequence if last else 0,
        "head": bytes(last.root).hex() if last else None, "unsealed": sealing.unsealed(),
        "entries": AuditEntry.objects.count(),
    }  # fmt: skip


# -- as text -----------------------------------------------------------------------------------------


def as_markdown(told: Told) -> str:
    """The same, for people."""
    lines = [
        "# 自己点検 / Self-assessment", "",
        f"{told['since'][:10]} – {told['until'][:10]}; {told['made_at']}", "",
        "## 責務と証拠 / Duties and proofs", "", "| id | 責務 / duty | 試験 / tests |", "|---|---|---|",
        *(_duty(duty) for duty in told["duties"]), "",
        f"証拠のない責務 / without proof: {', '.join(told['unproved']) or 'なし / none'}", "",
        "## 数値 / Figures", "", *_tree(told["figures"]), "",
        "## 運営 / Governance", "", *_tree(told["governance"]), "",
        f"あってはならないこと / faults: {', '.join(told['faults']) or 'なし / none'}", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _duty(duty: Told) -> str:
    results = duty.get("results", {})
    tests = "<br>".join(f"`{name}`" + (f" {results[name]}" if results else "") for name in duty["tests"]) or "—"
    return f"| {duty['id']} | {duty['ja']}<br>{duty['en']} | {tests} |"


def _tree(told: Any, depth: int = 0) -> Iterator[str]:
    pad = "  " * depth
    pairs = told.items() if isinstance(told, dict) else enumerate(told, 1)
    for name, value in pairs:
        if isinstance(value, dict | list) and value:
            yield f"{pad}- {name}:"
            yield from _tree(value, depth + 1)
        else:
            yield f"{pad}- {name}: {'—' if value in (None, {}, []) else value}"
