"""Paths below /fhir. A trailing slash on the base is accepted; everything else is spelled as in R4."""

from django.urls import path, re_path

from phr.fhir import audit_events, finding, views, writing
from phr.fhir.bulk import views as bulk
from phr.fhir.door import door
from phr.fhir.operations.calling import call

_TYPE = r"(?P<type>[A-Z][A-Za-z]{1,63})"
_ID = r"(?P<id>[^/]{1,200})"

_OPERATION = r"\$(?P<operation>[A-Za-z][A-Za-z0-9-]{0,63})"
# Which methods an operation takes is its own matter.
_asked = door(GET=call, POST=call, PUT=call, PATCH=call, DELETE=call)

urlpatterns = [
    re_path(rf"^/{_OPERATION}$", _asked, name="operation"),
    re_path(rf"^/{_TYPE}/{_OPERATION}$", _asked, name="type-operation"),
    re_path(rf"^/{_TYPE}/{_ID}/{_OPERATION}$", _asked, name="instance-operation"),
    re_path(rf"^/{_TYPE}/{_ID}/_history/(?P<version>[^/]{{1,64}})/{_OPERATION}$", _asked, name="version-operation"),
    # What stands in the log, made for whoever reads it: nobody writes it here.
    re_path(r"^/AuditEvent/?$", door(GET=audit_events.search), name="audit-events"),
    re_path(r"^/AuditEvent/_search$", door(POST=audit_events.search), name="audit-events-search"),
    re_path(rf"^/AuditEvent/{_ID}$", door(GET=audit_events.read), name="audit-event"),
    # R4 spells a conditional delete with a slash before its criteria, and everything else without one.
    re_path(rf"^/{_TYPE}/?$", door(GET=finding.search, POST=writing.create, PUT=writing.update_where,
                                   PATCH=writing.patch_where, DELETE=writing.delete_where), name="type"),
    re_path(rf"^/{_TYPE}/_search$", door(POST=finding.search), name="post-search"),
    path("/_search", door(POST=finding.system_search), name="system-search"),
    path("/_history", door(GET=finding.history), name="system-history"),
    re_path(rf"^/{_TYPE}/_history$", door(GET=finding.history), name="type-history"),
    re_path(rf"^/{_TYPE}/{_ID}$", door(GET=views.read, PUT=writing.update, PATCH=writing.patch,
                                        DELETE=writing.delete), name="instance"),
    re_path(rf"^/{_TYPE}/{_ID}/(?P<inner>[A-Z][A-Za-z]{{1,63}}|\*)$", door(GET=finding.compartment_search),
            name="compartment"),
    re_path(rf"^/{_TYPE}/{_ID}/(?P<inner>[A-Z][A-Za-z]{{1,63}}|\*)/_search$",
            door(POST=finding.compartment_search), name="compartment-search"),
    re_path(r"^/?$", door(GET=finding.system_search, POST=writing.post_bundle), name="bundle"),
    re_path(r"^/bulk/(?P<job>[^/]{1,64})$", door(GET=bulk.status, DELETE=bulk.delete), name="export"),
    re_path(
        r"^/bulk/(?P<job>[^/]{1,64})/(?P<name>[^/]{1,100})$",
        door(GET=bulk.file, negotiate=bulk.as_it_lies), name="export-file",
    ),
    path("/metadata", door(GET=views.metadata), name="capabilities"),
    re_path(rf"^/{_TYPE}/{_ID}/_history$", door(GET=finding.history), name="history"),
    re_path(rf"^/{_TYPE}/{_ID}/_history/(?P<version>[^/]{{1,64}})$", door(GET=views.vread), name="version"),
    re_path(r"^/[\s\S]*$", door(GET=views.nothing_here, POST=views.nothing_here, PUT=views.nothing_here,
                           DELETE=views.nothing_here, PATCH=views.nothing_here), name="nowhere"),
]  # fmt: skip
