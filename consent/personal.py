"""Every field of every model is personal or plain. Exports, logs and the admin obey this one declaration.

PERSONAL tells something about a particular person, or leads to one. PLAIN does not. A field nobody declared
fails the build. Other apps declare their own models in a `personal.py` of their own with the same shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        "id": PERSONAL, "birth_on": PERSONAL, "state": PERSONAL, "location_hidden": PERSONAL, "consent_epoch": PLAIN,
        "created_at": PLAIN,
    },
    "Organization": {"id": PLAIN, "name": PLAIN, "kind": PLAIN, "code": PLAIN, "state": PLAIN},
    "Person": {
        "id": PERSONAL, "username": PERSONAL, "name": PERSONAL, "kana": PERSONAL, "password": PERSONAL,
        "own_subject": PERSONAL, "organization": PERSONAL, "last_login": PERSONAL, "is_active": PLAIN,
        "is_staff": PLAIN, "is_superuser": PLAIN, "groups": PLAIN, "user_permissions": PLAIN,
    },
    "Guardianship": {
        "id": PERSONAL, "person": PERSONAL, "subject": PERSONAL, "kind": PERSONAL, "state": PERSONAL,
        "evidence": PERSONAL, "verified_by": PERSONAL, "starts_on": PERSONAL, "ends_on": PERSONAL,
        "review_on": PERSONAL,
    },
    "Grant": {
        "id": PERSONAL, "subject": PERSONAL, "given_by": PERSONAL, "capacity": PERSONAL, "version": PLAIN,
        "supersedes": PERSONAL, "state": PLAIN, "root": PERSONAL, "given_at": PERSONAL, "ended_at": PERSONAL,
        "ended_reason": PERSONAL,
    },
    "EffectiveGrant": {
        "id": PLAIN, "grant": PERSONAL, "path": PLAIN, "permit": PERSONAL, "subject": PERSONAL, "grantee": PERSONAL,
        "grantees": PERSONAL, "purpose": PERSONAL, "action": PERSONAL, "category_masks": PERSONAL,
        "label_masks": PERSONAL, "level": PERSONAL, "data_low": PERSONAL, "data_high": PERSONAL, "author": PERSONAL,
        "item": PERSONAL, "valid_from": PERSONAL, "valid_to": PERSONAL,
    },
    "AuditEntry": {
        "id": PLAIN, "xid": PLAIN, "at": PERSONAL, "event": PERSONAL, "subject": PERSONAL, "person": PERSONAL,
        "organization": PERSONAL, "client": PERSONAL, "capacity": PERSONAL, "purpose": PERSONAL,
        "request": PERSONAL, "salt": PERSONAL, "detail": PERSONAL,
    },
    "DataKey": {"id": PLAIN, "subject": PERSONAL, "version": PLAIN, "kek": PLAIN, "wrapped": PERSONAL},
    "Notice": {
        "id": PLAIN, "kind": PERSONAL, "person": PERSONAL, "organization": PLAIN, "subject": PERSONAL, "at": PERSONAL,
        "detail": PERSONAL, "acknowledged_at": PERSONAL,
    },
    "AuditBatch": {
        "sequence": PLAIN, "sealed_at": PLAIN, "entries": PLAIN, "leaves": PLAIN, "root": PLAIN,
        "previous_root": PLAIN, "signature": PLAIN, "key_id": PLAIN, "last_xid": PLAIN, "last_entry": PLAIN,
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


def plain_fields(model: str, declared: Declaration = DECLARED) -> Iterable[str]:
    """The fields of a model that a log line or a list may show."""
    return [name for name, kind in declared[model].items() if kind is PLAIN]
