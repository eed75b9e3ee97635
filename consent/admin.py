"""What operators may look after in the admin site: organisations, and the sealed heads of the log.

Persons, guardianships and grants are changed by deeds (verified, audited), never by forms over tables.
"""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from consent.models import AuditBatch, Organization


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin):
    list_display = ("name", "kind", "code", "state")
    list_filter = ("kind", "state")
    search_fields = ("name", "code")
    readonly_fields = ("class_from",)  # entering a class is a deed: people are told, and it waits (`consent.classes`)

    def has_delete_permission(self, request: HttpRequest, obj: Organization | None = None) -> bool:
        return False  # its records name it for ever; suspend it instead


@admin.register(AuditBatch)
class AuditBatchAdmin(admin.ModelAdmin):
    list_display = ("sequence", "sealed_at", "key_id", "root_hex")
    fields = readonly_fields = ("sequence", "sealed_at", "key_id", "root_hex")
    ordering = ("-sequence",)

    @admin.display(description="根 / root")
    def root_hex(self, batch: AuditBatch) -> str:
        return bytes(batch.root).hex()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditBatch | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditBatch | None = None) -> bool:
        return False
