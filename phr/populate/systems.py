"""URIs of the code systems only invented records use; the others stand in `phr.records.systems`."""

from __future__ import annotations

from phr.records import systems
from phr.records.systems import OWN

ANSWER = systems.OWN_ANSWER
JUDGEMENT = systems.OWN_JUDGEMENT
VACCINE = systems.OWN_VACCINE
DISEASE = systems.OWN_DISEASE
VISIT = systems.OWN_VISIT
DRUG = f"{OWN}/CodeSystem/invented-drug"
PERSON = f"{OWN}/NamingSystem/person"
MUNICIPALITY = systems.OWN_MUNICIPALITY
SCHOOL = f"{OWN}/NamingSystem/school-code"
PREGNANCY_EPISODE = f"{OWN}/StructureDefinition/pregnancy-episode"
CHECKUP_JUDGEMENT = f"{OWN}/StructureDefinition/checkup-judgement"
JP_PROFILE = "http://jpfhir.jp/fhir/core/StructureDefinition/"
