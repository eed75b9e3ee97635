"""Operations of the REST door. Each module named here offers its own, by `calling.operation`."""

from phr.fhir.bulk import kickoff
from phr.fhir.operations import (
    calling,
    docref,
    document,
    everything,
    explain,
    extract,
    immunization,
    lastn,
    match,
    meta,
    summary,
    terminology,
    validate,
)

__all__ = [
    "calling", "docref", "document", "everything", "explain", "extract", "immunization", "kickoff", "lastn", "match",
    "meta", "summary", "terminology", "validate",
]  # fmt: skip
