"""Every field of the import tables is declared, and the admin site keeps to it."""

from __future__ import annotations

from django.contrib import admin

from consent.personal import PLAIN, disagreements
from integrations.models import ImportPart, ImportRun
from integrations.personal import DECLARED


def test_every_field_of_the_app_is_declared() -> None:
    assert disagreements("integrations", DECLARED) == []


def test_the_admin_shows_plain_fields_only_and_changes_nothing() -> None:
    admin.autodiscover()
    shown = admin.site._registry[ImportRun]
    plain = {name for name, kind in DECLARED["ImportRun"].items() if kind is PLAIN}
    assert {*shown.fields, *shown.list_display, *shown.list_filter} <= plain
    assert ImportPart not in admin.site._registry
    assert not any(
        (shown.has_add_permission(None), shown.has_change_permission(None), shown.has_delete_permission(None))
    )
