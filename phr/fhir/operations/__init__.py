"""Operations of the REST door. Each module named here offers its own, by `calling.operation`."""

from phr.fhir.bulk import kickoff
from phr.fhir.operations import calling, everything, lastn, meta, summary, terminology, validate

__all__ = ["calling", "everything", "kickoff", "lastn", "meta", "summary", "terminology", "validate"]
