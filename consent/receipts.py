"""What a consent must hold and show (IT-02), its text, and the signed receipt the person keeps. Pure.

Sources: the duties of information trusts; ISO/IEC TS 27560 (structure of consent records and receipts); RFC 7515
(JWS, compact), RFC 8037 (EdDSA).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent import rules, wording
from consent.clauses import data_chain
from consent.refusal import Refusal
from consent.scope import Clause

SCHEMA = "ISO/IEC TS 27560:2023"


class Incomplete(Refusal):
    """A consent for provision lacks something it must hold and show; `place` names it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What stands beside the tree. None and "" = not said. `names`: of the actors, when it was given."""

    benefit: str = ""  # what comes back
    profiling: bool | None = None  # a separate yes (IT-08)
    onward: bool | None = None  # re-provision
    use_class: str = ""  # self-benefit, public-interest
    withdrawal: str = ""  # how to withdraw
    contact: str = ""  # of the operator
    program: str = ""
    locale: str = "ja"
    edition: int = wording.EDITION
    names: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"names": dict(self.names)}


@dataclass(frozen=True, slots=True)
class Given:
    """One consent as it was given, to be told."""

    grant: int
    version: int
    subject: UUID
    root: Clause
    terms: Terms
    capacity: str
    given_at: datetime
    ask: bool = False


def terms_of(told: Mapping[str, Any]) -> Terms:
    """Read back what `as_json` kept."""
    known = {name: told[name] for name in Terms.__dataclass_fields__ if name in told}
    return Terms(**known)


def for_provision(root: Clause) -> bool:
    """Whether a tree permits anything beyond care: only then must all of IT-02 be said."""
    return _permits_beyond_care(root, ())


def _permits_beyond_care(node: Clause, above: tuple[Clause, ...]) -> bool:
    chain = (*above, node)
    stated = [c.purposes for c in chain if c.purposes is not None]
    beyond = node.permit and bool(stated) and not stated[-1] <= rules.CARE_PURPOSES
    return beyond or any(_permits_beyond_care(child, chain) for child in node.clauses)


def require_complete(root: Clause, terms: Terms) -> None:
    """IT-02: raise Incomplete at the first thing a consent for provision does not say."""
    if not for_provision(root):
        return
    said = {
        "root.actors": root.actors,
        "root.purposes": root.purposes,
        "root.categories": _names_data(root, ()),
        "root.data_low": root.data_low or root.data_high,
        "root.valid_to": root.valid_to,
        "terms.benefit": terms.benefit.strip(),
        "terms.profiling": terms.profiling is not None,
        "terms.onward": terms.onward is not None,
        "terms.use_class": terms.use_class in wording.USES,
        "terms.withdrawal": terms.withdrawal.strip(),
        "terms.contact": terms.contact.strip(),
    }
    for place, stated in said.items():
        if not stated:
            raise Incomplete("提供の同意にはこの項目が必要です / a consent for provision must say this", place=place)


def _names_data(node: Clause, above: tuple[Clause, ...]) -> bool:
    """Every permit names its data: categories, level-3 ones, or single items."""
    chain = (*above, node)
    named = not node.permit or any(c.categories or c.labels or c.items for c in data_chain(chain))
    return named and all(_names_data(child, chain) for child in node.clauses)


# -- the text --------------------------------------------------------------------------------------


def text(given: Given, locale: str) -> str:
    """What was shown, word for word; the same for the same consent and language."""
    at, terms = (wording.EN if locale == "en" else wording.JA), given.terms
    told = [
        (("同意の内容", "Consent"), f"{given.grant} / {given.version}"),
        (("同意した人", "given by"), wording.CAPACITIES[given.capacity][at]),
        (("日時", "given at"), f"{given.given_at.astimezone(rules.JST):%Y-%m-%d %H:%M:%S}"),
    ]
    if terms.benefit:
        told.append((("便益", "benefit"), terms.benefit))
    for head, flag in (
        (("分析・推測 (プロファイリング)", "profiling"), terms.profiling),
        (("第三者への再提供", "passing on to others"), terms.onward),
    ):
        if flag is not None:
            told.append((head, wording.yes_no(flag, at)))
    if terms.use_class in wording.USES:
        told.append((("利用の区分", "use"), wording.USES[terms.use_class][at]))
    if given.ask:
        told.append((("毎回の確認", "ask each time"), wording.yes_no(True, at)))
    for head, word in ((("撤回の方法", "how to withdraw"), terms.withdrawal),
                       (("問い合わせ先", "contact"), terms.contact)):  # fmt: skip
        if word:
            told.append((head, word))
    heads = [f"{head[at]}: {value}" for head, value in told]
    return "\n".join([*heads[:3], *wording.lines(given.root, terms.names, locale), *heads[3:]]) + "\n"


def digest(shown: str) -> str:
    """The hash under which a text is kept."""
    return hashlib.sha256(shown.encode()).hexdigest()


# -- the receipt -----------------------------------------------------------------------------------


def receipt(given: Given, *, state: str, sha256: str, operator: str, now: datetime) -> dict[str, Any]:
    """The receipt as ISO/IEC TS 27560 arranges it: record, processing, parties, events."""
    terms, shown = given.terms, text(given, given.terms.locale)
    return {
        "schema_version": SCHEMA,
        "record_id": f"grant:{given.grant}",
        "record_version": given.version,
        "pii_principal_id": str(given.subject),
        "pii_processing": {
            "privacy_notice": {"language": terms.locale, "sha256": sha256, "text": shown},
            "purposes": [_purpose(given, purpose) for purpose in sorted(given.root.purposes or {"*"})],
        },
        "party_identification": [
            {"party_id": "operator", "party_role": "pii_controller", "party_name": operator,
             "party_contact": terms.contact},
            *({"party_id": actor, "party_role": "recipient", "party_name": wording.actor_name(actor, terms.names, 1)}
              for actor in sorted(given.root.actors or ())),
        ],
        "event": [
            {"event_time": given.given_at.isoformat(), "event_type": "explicit", "event_state": state,
             "entity_id": given.capacity, "validity_duration": _until(given.root)},
        ],
        "issued_at": now.isoformat(),
    }  # fmt: skip


def _purpose(given: Given, purpose: str) -> dict[str, Any]:
    root, terms = given.root, given.terms
    return {
        "purpose": purpose,
        "purpose_type": terms.use_class or "care",
        "lawful_basis": "consent",
        "polarity": "permit" if root.permit else "deny",
        "pii_information": [
            *({"pii_type": name, "sensitive_pii_category": False} for name in sorted(root.categories or ())),
            *({"pii_type": name, "sensitive_pii_category": True} for name in sorted(_labels(root))),
        ],
        "data_period": wording.period(root.data_low, root.data_high),
        "recipient_third_parties": sorted(root.actors or ()),
        "program": terms.program,
        "benefit": terms.benefit,
        "profiling": terms.profiling,
        "onward_transfer": terms.onward,
        "withdrawal_method": terms.withdrawal,
        "ask_each_time": given.ask,
        "conditions": wording.lines(root, terms.names, terms.locale),
    }


def _labels(clause: Clause) -> frozenset[str]:
    return (clause.labels or frozenset()).union(*map(_labels, clause.clauses))


def _until(root: Clause) -> str | None:
    return root.valid_to.isoformat() if root.valid_to else None


def signed(told: Mapping[str, Any], key: Ed25519PrivateKey, *, key_id: str) -> str:
    """A JWS in compact form over the receipt."""
    header = {"alg": "EdDSA", "kid": key_id, "typ": "consent-receipt+json"}
    head, payload = (_encoded(json.dumps(part, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode())
                     for part in (header, told))  # fmt: skip
    return f"{head}.{payload}.{_encoded(key.sign(f'{head}.{payload}'.encode()))}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
