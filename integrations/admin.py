"""Import runs in the admin site: how they go, never what they hold. Nothing can be changed there."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from integrations.models import DeadLetter, ImportRun


@admin.register(ImportRun)
class ImportRunAdmin(admin.ModelAdmin):
    """Operators see state and counts; whose record it is and what was found wrong stays with the family."""

    list_display = ("id", "kind", "state", "done", "total", "attempts", "created_at", "finished_at")
    list_filter = ("kind", "state")
    fields = (
        "id", "kind", "organization", "client", "state", "done", "total", "created", "updated", "unchanged", "attempts",
        "created_at", "started_at", "finished_at", "heartbeat_at",
    )  # fmt: skip
    readonly_fields = fields
    ordering = ("-created_at",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ImportRun | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ImportRun | None = None) -> bool:
        return False


@admin.register(DeadLetter)
class DeadLetterAdmin(admin.ModelAdmin):
    """What was given up, and why; `manage.py dead_letters` has it tried again or lets it go."""

    list_display = ("id", "task", "reference", "reason", "error", "times", "state", "since", "last_at")
    list_filter = ("state", "task", "reason")
    fields = ("id", "task", "reference", "reason", "error", "times", "state", "since", "last_at", "decided_at")
    readonly_fields = fields
    ordering = ("-since",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: DeadLetter | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DeadLetter | None = None) -> bool:
        return False
