"""A dose -> one Immunization (JP_Immunization). Pure.

The municipality's ledger is not who gave it: primarySource is false, reportOrigin a record. The local code stands
beside the vaccine of the rules; a code the map does not know stands alone.
"""

from __future__ import annotations

import re
from typing import Any

from integrations.incoming import Resource
from integrations.municipal_csv import catalogue
from integrations.municipal_csv.catalogue import JP
from integrations.municipal_csv.making import Maker
from integrations.tabular.figures import amount
from phr.records import systems

ORIGIN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/immunization-origin", "code": "record"}]}
FUNCTION = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0443", "code": "AP"}]}
_ML = re.compile(r"\s*(?:ml|mL|ｍＬ|㎖|cc)\Z")


def immunization(make: Maker) -> Resource:
    said: dict[str, Any] = make.content["vaccine"]
    resource: Resource = {
        "resourceType": "Immunization",
        "id": make.id("Immunization", "dose"),
        "meta": {"profile": [JP + "JP_Immunization"]},
        "status": "completed" if said.get("given", True) else "not-done",
        "vaccineCode": _code(make, said),
        "patient": make.patient,
        "occurrenceDateTime": make.content["on"],
        "primarySource": False,
        "reportOrigin": ORIGIN,
    }
    if lot := said.get("lot"):
        resource["lotNumber"] = lot
    if (text := said.get("amount")) and (value := amount(_ML.sub("", text))) is not None:
        resource["doseQuantity"] = {"value": value, "unit": "mL", "system": systems.UCUM, "code": "mL"}
    performers = [who for who in (make.doctor(), make.facility()) if who]
    if performers:
        resource["performer"] = [{"function": FUNCTION, "actor": who} for who in performers]
    if product := said.get("product"):
        resource["note"] = [{"text": f"製剤: {product}"}]
    if protocol := _protocol(said):
        resource["protocolApplied"] = [protocol]
    return resource


def _code(make: Maker, said: dict[str, Any]) -> Resource:
    map = said.get("map")
    local = make.local(said["local"], map, "vaccine")
    if not (id := said.get("id")):
        return {"coding": local, "text": said["local"]} if local else {"text": said["local"]}
    vaccine = catalogue.vaccines()[id]
    coding = [{"system": systems.OWN_VACCINE, "code": id, "display": vaccine.name}, *local]
    return make.mapped_by(map) | {"coding": coding, "text": vaccine.name}


def _protocol(said: dict[str, Any]) -> Resource | None:
    """The number of the dose, and what it is against: FHIR wants a number (or a word) in every protocol."""
    dose, id = said.get("dose"), said.get("id")
    if not dose:
        return None
    protocol: Resource = {"doseNumberPositiveInt": dose}
    return {"targetDisease": catalogue.target_diseases(id)} | protocol if id else protocol
