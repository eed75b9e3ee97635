"""Patient `$summary`: an International Patient Summary of what the caller may see (IPS 1.1)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from phr.fhir import wire
from phr.fhir.door import admitted
from phr.fhir.ips import chosen, document
from phr.fhir.ips.chosen import Item
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.everything import sole_patient
from phr.fhir.operations.inputs import In, refused
from phr.records import body, vault
from phr.records.gateway import NotFound, Records
from phr.records.search import ranges

MOST = 3000  # Observations, and resources of the other types together, that one summary is made from
CUT = ("新しい記録から作り、古い記録の一部を含みません。/ Made from the newest records; some older ones are left out.",)
PROFILES = tuple(f"{document.PROFILES}{name}" for name in ("Bundle-uv-ips", "Composition-uv-ips"))


@operation(
    "summary",
    on=("Patient",),
    levels={"type", "instance"},
    definition="http://hl7.org/fhir/uv/ips/OperationDefinition/summary",
    inputs=(In("identifier", "string"), In("profile", "uri")),
)
def summary(records: Records, ask: Ask) -> bytes:
    """The document of one patient, made now; logged."""
    admitted(records, "Patient", "r")
    profile = ask.one("profile")
    if profile is not None and profile.partition("|")[0] not in PROFILES:
        text = "このプロファイルでは作れません。Only the IPS profiles can be asked for."
        raise refused("profile", text, "not-supported")
    return made(records, _subject(records, ask))


def _subject(records: Records, ask: Ask) -> UUID:
    """The patient of the URL, of `identifier`, or of the token. Raises NotFound: none, several, hidden are alike."""
    identifier = ask.one("identifier")
    if ask.id is not None:
        if identifier is not None:
            raise refused("identifier", "id と一緒には使えません。Not together with an id.")
        return records.patient(ask.id)
    if identifier is None:
        return sole_patient(records)
    admitted(records, "Patient", "s")
    query = wire.query("Patient", [("identifier", identifier)], now=records.now, strict=True)
    found = records.find(query, letter="s", limit=2)
    if len(found) != 1:
        raise NotFound("Patient/?")
    return records.patient(found[0].id)


def made(records: Records, subject: UUID) -> bytes:
    """The summary of a person the caller may see, as a document Bundle. Written to the log first."""
    patient = Item(found := records.read("Patient", str(subject)), body.parse(found.body or b"{}"))
    others, cut = records.newest(subject, chosen.TYPES, most=MOST)
    measured, cut_too = records.newest(subject, ("Observation",), most=MOST)
    # What is about somebody else and mentions this person is not this person's.
    own = [one for one in (*others, *measured) if one.facts.subjects[0] == subject]
    extract = document.Extract(
        patient, chosen.read(own), chosen.read(records.supporting(own)), _birth(patient), CUT if cut or cut_too else ()
    )
    base = wire.base()
    finished = document.make(extract, base=base, now=records.now, salt=vault.index_key())
    records.log_extract("$summary", [item.found for item in finished.items])
    shown = {i.found.reference: wire.shown(i.found, labels=records.shows_labels(i.found)) for i in finished.items}
    return document.bundle(finished, base=base, now=records.now, shown=shown)


def _birth(patient: Item) -> datetime | None:
    text = patient.resource.get("birthDate")
    return ranges.moment(ranges.date_range(text)[0]) if text else None
