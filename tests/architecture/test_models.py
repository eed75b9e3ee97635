"""What import-linter cannot see: arrows drawn by foreign keys, migrations, strings and admin registrations."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import call_command
from django.db import models
from django.db.migrations.loader import MigrationLoader

from consent.personal import PERSONAL, disagreements
from tests.architecture import project

HEIGHT = {app: height for height, app in enumerate(project.APPS)}
# What is clinical is read through the gateway, never through the admin site.
CLINICAL = {"DataKey", "Resource", "Version", "Range", "Text", "Change"}
# A token shown there would be one more copy; one made there would have no launch behind it.
TOKENS = {"AccessToken", "AuthorizationCode", "RefreshToken", "IDToken", "DeviceGrant", "Launch"}


def ours() -> list[type[models.Model]]:
    return [model for model in apps.get_models(include_auto_created=True) if model._meta.app_label in HEIGHT]


def test_no_foreign_key_points_upward() -> None:
    upward = [
        f"{model.__name__}.{field.name} -> {field.related_model._meta.label}"
        for model in ours()
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey | models.ManyToManyField)
        and HEIGHT.get(field.related_model._meta.app_label, -1) > HEIGHT[model._meta.app_label]
    ]
    assert not upward


def test_no_migration_waits_for_one_above_it() -> None:
    migrations = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    upward = [
        f"{app}.{name} -> {needed}"
        for (app, name), migration in migrations.items()
        for needed, _ in migration.dependencies
        if app in HEIGHT and HEIGHT.get(needed, -1) > HEIGHT[app]
    ]
    assert not upward


@pytest.mark.django_db
def test_the_migrations_say_what_the_models_say() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_models_are_imported_not_named_by_strings() -> None:
    named = re.compile(r"apps\.get_model\(|(?<!def )\bget_model\(")
    assert not [str(path) for path in project.sources() if named.search(project.text(path))]


def test_there_are_no_signals() -> None:
    assert not [str(p) for p in project.sources() if re.search(r"django\.dispatch|models\.signals", project.text(p))]


@pytest.mark.parametrize("app", project.APPS)
def test_every_field_is_declared_personal_or_plain(app: str) -> None:
    assert disagreements(app, import_module(f"{app}.personal").DECLARED) == []


def test_the_admin_lists_only_what_is_plain() -> None:
    shown = [
        f"{model.__name__}.{column}"
        for model, site in admin.site._registry.items()
        if (app := model._meta.app_label) in project.APPS
        for column in (*site.list_display, *site.search_fields)
        if import_module(f"{app}.personal").DECLARED[model.__name__].get(str(column)) == PERSONAL
    ]
    assert not shown


def test_clinical_tables_and_tokens_are_never_in_the_admin() -> None:
    admin.autodiscover()
    registered = {model.__name__ for model in admin.site._registry if model._meta.app_label in ("phr", "consent")}
    assert {model.__name__ for model in ours()} >= CLINICAL, "a clinical table was renamed: name it here"
    assert not registered & (CLINICAL | TOKENS)
