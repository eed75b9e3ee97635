"""Every field of every model is personal or plain. Exports, logs and the admin obey this one declaration.

PERSONAL tells something about a particular person, or leads to one. PLAIN does not. A field nobody declared
fails the build. Other apps declare their own models in a `personal.py` of their own with the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from django.apps import apps


class Kind(StrEnum):
    PERSONAL = "personal"
    PLAIN = "plain"


PERSONAL, PLAIN = Kind.PERSONAL, Kind.PLAIN
Declaration: TypeAlias = Mapping[str, Mapping[str, Kind]]  # model -> field -> kind

DECLARED: Declaration = {
    "Subject": {
        "id": PERSONAL, "birth_on": PERSONAL, "state": PERSONAL, "location_hidden": PERSONAL,
        "died_on": PERSONAL, "consent_epoch": PLAIN, "created_at": PLAIN,
    },
    "Organization": {"id": PLAIN, "name": PLAIN, "kind": PLAIN, "code": PLAIN, "state": PLAIN, "class_from": PLAIN},
    "Person": {
        "id": PERSONAL, "username": PERSONAL, "name": PERSONAL, "kana": PERSONAL, "password": PERSONAL,
        "own_subject": PERSONAL, "organization": PERSONAL, "last_login": PERSONAL, "is_active": PLAIN,
        "is_staff": PLAIN, "is_superuser": PLAIN, "groups": PLAIN, "user_permissions": PLAIN,
    },
    "Guardianship": {
        "id": PERSONAL, "person": PERSONAL, "subject": PERSONAL, "kind": PERSONAL, "state": PERSONAL,
        "evidence": PERSONAL, "verified_by": PERSONAL, "starts_on": PERSONAL, "ends_on": PERSONAL,
        "review_on": PERSONAL, "sole": PERSONAL, "release_asked_by": PERSONAL,
    },
    "Grant": {
        "id": PERSONAL, "subject": PERSONAL, "given_by": PERSONAL, "capacity": PERSONAL, "version": PLAIN,
        "supersedes": PERSONAL, "state": PLAIN, "root": PERSONAL, "given_at": PERSONAL, "ended_at": PERSONAL,
        "ended_reason": PERSONAL, "proposed_by": PERSONAL, "reasons": PERSONAL, "ask": PERSONAL, "answered": PERSONAL,
        "terms": PERSONAL, "text_sha256": PERSONAL, "consent_id": PERSONAL, "projected": PLAIN,
        "paused_by": PERSONAL,
    },
    "EffectiveGrant": {
        "id": PLAIN, "grant": PERSONAL, "path": PLAIN, "permit": PERSONAL, "subject": PERSONAL, "grantee": PERSONAL,
        "grantees": PERSONAL, "purpose": PERSONAL, "action": PERSONAL, "category_masks": PERSONAL,
        "label_masks": PERSONAL, "level": PERSONAL, "data_low": PERSONAL, "data_high": PERSONAL, "author": PERSONAL,
        "item": PERSONAL, "valid_from": PERSONAL, "valid_to": PERSONAL,
    },
    "EmergencyAccess": {
        "id": PLAIN, "person": PERSONAL, "organization": PERSONAL, "subject": PERSONAL, "purpose": PERSONAL,
        "step": PERSONAL, "reason": PERSONAL, "text": PERSONAL, "full_reason": PERSONAL, "full_text": PERSONAL,
        "opened_at": PERSONAL, "full_at": PERSONAL, "ends_at": PERSONAL, "closed_at": PERSONAL,
        "review_due_at": PLAIN, "reviewed_by": PERSONAL, "reviewed_at": PERSONAL, "outcome": PERSONAL,
    },
    "AuditEntry": {
        "id": PLAIN, "xid": PLAIN, "at": PERSONAL, "event": PERSONAL, "subject": PERSONAL, "person": PERSONAL,
        "organization": PERSONAL, "client": PERSONAL, "capacity": PERSONAL, "purpose": PERSONAL,
        "request": PERSONAL, "salt": PERSONAL, "detail": PERSONAL, "version": PERSONAL, "key_version": PLAIN,
    },
    "DataKey": {"id": PLAIN, "subject": PERSONAL, "version": PLAIN, "kek": PLAIN, "wrapped": PERSONAL},
    "Notice": {
        "id": PLAIN, "kind": PERSONAL, "person": PERSONAL, "organization": PLAIN, "subject": PERSONAL, "at": PERSONAL,
        "detail": PERSONAL, "acknowledged_at": PERSONAL,
    },
    "LegalHold": {
        "id": PLAIN, "subject": PERSONAL, "kind": PERSONAL, "reason": PERSONAL, "until": PERSONAL,
        "organization": PLAIN, "placed_by": PERSONAL, "placed_at": PERSONAL, "lifted_by": PERSONAL,
        "lifted_at": PERSONAL,
    },
    "Erasure": {
        "id": PLAIN, "subject": PERSONAL, "asked_by": PERSONAL, "capacity": PERSONAL, "joint_act": PERSONAL,
        "closing": PERSONAL,
        "state": PLAIN, "asked_at": PERSONAL, "due_at": PERSONAL, "ended_at": PERSONAL,
    },
    "Correction": {
        "id": PLAIN, "subject": PERSONAL, "asked_by": PERSONAL, "capacity": PERSONAL, "organization": PERSONAL,
        "type": PERSONAL, "fhir_id": PERSONAL, "version": PLAIN, "state": PLAIN, "asked": PERSONAL, "asked_key": PLAIN,
        "asked_at": PERSONAL, "answer": PERSONAL, "answer_key": PLAIN, "answered_by": PERSONAL,
        "answered_at": PERSONAL, "amended_version": PLAIN,
    },
    "Transfer": {
        "id": PERSONAL, "subject": PERSONAL, "asked_by": PERSONAL, "capacity": PERSONAL, "joint_act": PERSONAL,
        "to": PERSONAL, "state": PLAIN, "asked_at": PERSONAL, "packed_at": PERSONAL, "manifest": PERSONAL,
        "receipt": PERSONAL, "confirmed_at": PERSONAL,
    },
    "JointAct": {
        "id": PERSONAL, "subject": PERSONAL, "kind": PERSONAL, "grant": PERSONAL, "detail": PERSONAL,
        "asked_by": PERSONAL, "asked_at": PERSONAL, "expires_at": PERSONAL, "state": PERSONAL, "settled_at": PERSONAL,
    },
    "JointAnswer": {"id": PLAIN, "act": PERSONAL, "person": PERSONAL, "at": PERSONAL},
    "ProtectionCase": {
        "id": PERSONAL, "subject": PERSONAL, "asked_by": PERSONAL, "told_by": PERSONAL, "opened_at": PERSONAL,
        "closed_by": PERSONAL, "closed_at": PERSONAL, "outcome": PERSONAL,
    },
    "Birth": {
        "id": PERSONAL, "mother": PERSONAL, "child": PERSONAL, "born_on": PERSONAL, "order": PERSONAL,
        "delivered_by": PERSONAL, "recorded_by": PERSONAL, "at": PERSONAL,
    },
    "Silence": {"id": PLAIN, "subject": PERSONAL, "about": PERSONAL, "since": PERSONAL},
    "Milestone": {"id": PLAIN, "subject": PERSONAL, "name": PERSONAL, "at": PERSONAL},
    "Adoption": {"id": PERSONAL, "old": PERSONAL, "new": PERSONAL, "recorded_by": PERSONAL, "at": PERSONAL},
    "Suspension": {"id": PLAIN, "grant": PERSONAL, "why": PERSONAL, "since": PERSONAL},
    "PublishedHead": {"where": PLAIN, "sequence": PLAIN, "at": PLAIN},
    "AuditBatch": {
        "sequence": PLAIN, "sealed_at": PLAIN, "entries": PLAIN, "leaves": PLAIN, "root": PLAIN,
        "previous_root": PLAIN, "signature": PLAIN, "key_id": PLAIN, "last_xid": PLAIN, "last_entry": PLAIN,
    },
    "Terms": {
        "id": PLAIN, "version": PLAIN, "text_ja": PLAIN, "text_en": PLAIN, "sha256_ja": PLAIN, "sha256_en": PLAIN,
        "published_at": PLAIN, "published_by": PERSONAL,
    },
    "Mandate": {
        "id": PLAIN, "person": PERSONAL, "subject": PERSONAL, "terms": PLAIN, "capacity": PERSONAL, "locale": PLAIN,
        "sha256": PLAIN, "accepted_at": PERSONAL, "ended_at": PERSONAL,
    },
    "Recipient": {
        "id": PLAIN, "organization": PLAIN, "legal_name": PLAIN, "legal_number": PLAIN, "address": PLAIN,
        "representative": PERSONAL, "contract_ref": PLAIN, "contract_ends_on": PLAIN, "certification": PLAIN,
        "certified_until": PLAIN, "purposes": PLAIN, "profiling": PLAIN, "state": PLAIN, "state_reason": PLAIN,
        "processor_of": PLAIN, "report_months": PLAIN, "consent_epoch": PLAIN, "registered_at": PLAIN,
        "registered_by": PERSONAL,
    },
    "OnwardException": {
        "id": PLAIN, "giver": PLAIN, "taker": PLAIN, "basis": PLAIN, "valid_until": PLAIN, "listed_at": PLAIN,
        "listed_by": PERSONAL,
    },
    "Program": {
        "id": PLAIN, "title_ja": PLAIN, "title_en": PLAIN, "recipients": PLAIN, "purpose": PLAIN, "duo": PLAIN,
        "categories": PLAIN, "level": PLAIN, "use_class": PLAIN, "benefit_ja": PLAIN, "benefit_en": PLAIN,
        "profiling": PLAIN, "onward": PLAIN, "data_low": PLAIN, "data_high": PLAIN, "state": PLAIN,
        "approval": PLAIN, "proposed_at": PLAIN, "proposed_by": PERSONAL, "ended_at": PLAIN, "flagged_at": PLAIN,
        "consent_epoch": PLAIN,
    },
    "EthicsDecision": {
        "id": PLAIN, "program": PLAIN, "recipient": PLAIN, "terms": PLAIN, "screen": PLAIN, "outcome": PLAIN,
        "reasons": PLAIN, "decided_at": PLAIN, "valid_until": PLAIN, "recorded_by": PERSONAL,
    },
    "BoardMember": {
        "id": PLAIN, "decision": PLAIN, "person": PERSONAL, "role": PLAIN,
    },
    "ProvisionRequest": {
        "id": PLAIN, "recipient": PLAIN, "asked_by": PLAIN, "client": PLAIN, "reference": PLAIN, "sha256": PLAIN,
        "program": PLAIN, "purpose": PLAIN, "categories": PLAIN, "level": PLAIN, "data_low": PLAIN,
        "data_high": PLAIN, "profiling": PLAIN, "onward": PLAIN, "intended": PLAIN, "until": PLAIN,
        "asked_at": PLAIN,
    },
    "Provision": {
        "id": PLAIN, "request": PLAIN, "program": PLAIN, "recipient": PLAIN, "subject": PERSONAL, "grant": PERSONAL,
        "grant_version": PERSONAL, "mandate": PERSONAL, "judgement": PERSONAL, "state": PERSONAL, "purpose": PLAIN,
        "categories": PERSONAL, "level": PERSONAL, "data_low": PERSONAL, "data_high": PERSONAL, "items": PERSONAL,
        "made_at": PERSONAL, "answered_at": PERSONAL, "answered_by": PERSONAL, "delivered_at": PERSONAL,
        "until": PERSONAL, "ended_at": PERSONAL, "ended_reason": PERSONAL,
    },
    "Benefit": {
        "id": PLAIN, "program": PLAIN, "provision": PERSONAL, "kind": PLAIN, "text_ja": PLAIN, "text_en": PLAIN,
        "yen": PLAIN, "came_at": PLAIN, "recorded_by": PLAIN,
    },
    "UsageReport": {
        "id": PLAIN, "recipient": PLAIN, "period_from": PLAIN, "period_to": PLAIN, "due_on": PLAIN,
        "submitted_at": PLAIN, "body": PLAIN,
    },
    "DeletionCertificate": {
        "id": PLAIN, "provision": PERSONAL, "due_on": PLAIN, "submitted_at": PERSONAL, "method": PLAIN,
        "signed_by": PERSONAL,
    },
    "Incident": {
        "id": PLAIN, "kind": PLAIN, "recipient": PLAIN, "happened_from": PLAIN, "happened_to": PLAIN,
        "categories": PLAIN, "summary_ja": PLAIN, "summary_en": PLAIN, "found_at": PLAIN, "reported_by": PERSONAL,
        "provisions": PERSONAL, "preliminary_due_at": PLAIN, "final_due_at": PLAIN, "commission_told_at": PLAIN,
        "persons_told_at": PLAIN, "closed_at": PLAIN,
    },
    "Complaint": {
        "id": PLAIN, "person": PERSONAL, "subject": PERSONAL, "provision": PERSONAL, "kind": PERSONAL,
        "text": PERSONAL, "answer": PERSONAL, "state": PERSONAL, "received_at": PERSONAL, "review_due_at": PLAIN,
        "answer_due_at": PLAIN, "reviewed_at": PERSONAL, "answered_at": PERSONAL, "closed_at": PERSONAL,
        "handled_by": PERSONAL,
    },
    "Confirmation": {
        "id": PLAIN, "provider": PLAIN, "address": PLAIN, "organization": PLAIN, "acquired": PLAIN,
        "subject": PERSONAL, "run": PLAIN, "sha256": PLAIN, "categories": PERSONAL, "resources": PERSONAL,
        "received_at": PERSONAL,
    },
}  # fmt: skip


def disagreements(app: str, declared: Declaration) -> list[str]:
    """What an app's models have and its declaration lacks, and the other way round; empty = they agree.

    Implicit many-to-many tables are covered by the field that makes them.
    """
    models = {model.__name__: model for model in apps.get_app_config(app).get_models()}
    found = {
        f"{name}.{field.name}"
        for name, model in models.items()
        for field in (*model._meta.fields, *model._meta.many_to_many)
    }
    said = {f"{name}.{field}" for name, fields in declared.items() for field in fields}
    return [f"undeclared: {f}" for f in sorted(found - said)] + [f"no such field: {f}" for f in sorted(said - found)]
