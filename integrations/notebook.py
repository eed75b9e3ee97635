"""The person's notebook, written out again from the record as its reader may see it (`jahis_qr.write`)."""

from __future__ import annotations

from uuid import UUID

from integrations import dispensed
from integrations.jahis_qr import write
from integrations.jahis_qr.remarks import RECORD
from phr.records import body, systems
from phr.records.gateway import Records, Stored

TYPES = ("AllergyIntolerance", "Condition", "MedicationStatement", "Communication", "CareTeam")
MOST = 1000
_NOT_SO = ("entered-in-error", "refuted")
HISTORY = "既往歴"


def text_of(records: Records, subject: UUID) -> tuple[bytes, bool]:
    """The notebook as cp932 text, and whether older things did not fit. Raises NotFound, Gone, Refused; logged.

    Each dispensing is written once, in the words of its first source; claims beside medicines are not written.
    """
    patient = records.read("Patient", str(subject))
    entries, more = dispensed.merged(records, subject)
    shown = [entry.shown for entry in entries if entry.shown.found.type == "MedicationDispense"]
    rest, more_too = records.newest(subject, TYPES, most=MOST)
    others = [(one, body.parse(one.body or b"{}")) for one in rest if one.facts.subjects[:1] == (subject,)]
    kept = [(one, resource) for one, resource in others if _is_of_a_notebook(resource)]
    told: list[Stored] = [*(source.found for source in shown), *(one for one, _ in kept)]
    places = {one.reference: body.parse(one.body or b"{}") for one in records.supporting(told)}
    pages = write.Pages(
        patient=body.parse(patient.body or b"{}"), dispensed=[source.resource for source in shown],
        others=[resource for _, resource in kept], places=places,
    )  # fmt: skip
    records.log_extract("notebook", told)
    return write.to_text(pages), more or more_too


def _is_of_a_notebook(resource: write.Resource) -> bool:
    """Allergies, and whatever came in by a notebook: its claims, remarks, bought medicines, the pharmacist."""
    tags = {t.get("code") for t in resource.get("meta", {}).get("tag", ()) if t.get("system") == systems.OWN_ORIGIN}
    verified = [c.get("code") for c in resource.get("verificationStatus", {}).get("coding", ())]
    if systems.CLAIM in tags or resource.get("status") in _NOT_SO or any(code in _NOT_SO for code in verified):
        return False
    category = resource.get("category", ())
    concepts = [c for c in (category if isinstance(category, list) else [category]) if isinstance(c, dict)]
    match resource["resourceType"]:
        case "AllergyIntolerance":
            return True
        case "Condition":
            return any(c.get("text") == HISTORY for c in concepts)
        case "CareTeam":
            return any(c.get("text") == "かかりつけ薬剤師" for c in concepts)
    return any(coding.get("system") == RECORD for c in concepts for coding in c.get("coding", ()))
