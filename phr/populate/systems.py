"""URIs of the code systems only invented records use; the others stand in `phr.records.systems`."""

from __future__ import annotations

from phr.records.systems import OWN

ANSWER = f"{OWN}/CodeSystem/mch-answer"
JUDGEMENT = f"{OWN}/CodeSystem/judgement"
VACCINE = f"{OWN}/CodeSystem/vaccine"
DISEASE = f"{OWN}/CodeSystem/vaccine-disease"
VISIT = f"{OWN}/CodeSystem/visit-kind"
DRUG = f"{OWN}/CodeSystem/invented-drug"
PERSON = f"{OWN}/NamingSystem/person"
MUNICIPALITY = f"{OWN}/NamingSystem/local-government-code"
SCHOOL = f"{OWN}/NamingSystem/school-code"
PREGNANCY_EPISODE = f"{OWN}/StructureDefinition/pregnancy-episode"
CHECKUP_JUDGEMENT = f"{OWN}/StructureDefinition/checkup-judgement"
JP_PROFILE = "http://jpfhir.jp/fhir/core/StructureDefinition/"
