"""Operations of the REST door. Each module named here offers its own, by `calling.operation`."""

from phr.fhir.operations import calling, everything, terminology

__all__ = ["calling", "everything", "terminology"]
