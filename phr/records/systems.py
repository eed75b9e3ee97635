"""URIs the product speaks of: its own, and those of the terminologies it knows. Pure.

`preferred(uri)` folds the several spellings of one system (JP Core 1.2.0 moved most of
them from `urn:oid:` to `http://`) to one, so that a search for either finds both.
Source: JP Core 1.2.0 NamingSystems, HL7 FHIR R4.
"""

from __future__ import annotations

from typing import Final

# The product's own namespace: f"{OWN}/CodeSystem/…", f"{OWN}/NamingSystem/…"
OWN: Final = "https://tsumugi.example/fhir"

# International
LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
SNOMED: Final = "http://snomed.info/sct"
CVX: Final = "http://hl7.org/fhir/sid/cvx"
ICD10: Final = "http://hl7.org/fhir/sid/icd-10"
CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
OBSERVATION_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"

# Medicines
HOT7: Final = "http://medis.or.jp/CodeSystem/master-HOT7"
HOT9: Final = "http://medis.or.jp/CodeSystem/master-HOT9"
HOT13: Final = "http://medis.or.jp/CodeSystem/master-HOT13"
YJ: Final = "http://capstandard.jp/iyaku.info/CodeSystem/YJ-code"
GENERIC_ORDER: Final = "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationGeneralOrderCode"
MEDICATION_UNIT: Final = "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationUnitMERIT9Code"
USAGE: Final = "http://jami.jp/CodeSystem/MedicationUsage"
USAGE_ADDITIONAL: Final = "http://jami.jp/CodeSystem/MedicationUsageAdditional"

# Laboratory, measurements, conditions
JLAC10: Final = "http://medis.or.jp/CodeSystem/master-JLAC10-17digits"
BODY_MEASUREMENT: Final = "http://jpfhir.jp/fhir/core/CodeSystem/JP_ObservationBodyMeasurementCode_CS"
JP_OBSERVATION_CATEGORY: Final = "http://jpfhir.jp/fhir/core/CodeSystem/JP_SimpleObservationCategory_CS"
ICD10_JP: Final = "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/ICD10-2013-full"
DISEASE_EXCHANGE: Final = "http://medis.or.jp/CodeSystem/master-disease-exCode"
DISEASE_KEY: Final = "http://medis.or.jp/CodeSystem/master-disease-keyNumber"
DISEASE_RECEIPT: Final = "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/masterB-disease"

# Identifiers
RP_NUMBER: Final = "http://jpfhir.jp/fhir/core/mhlw/IdSystem/Medication-RPGroupNumber"
ORDER_IN_RP: Final = "http://jpfhir.jp/fhir/core/mhlw/IdSystem/MedicationAdministrationIndex"
RESOURCE_INSTANCE: Final = "http://jpfhir.jp/fhir/core/IdSystem/resourceInstance-identifier"
INSTITUTION_10: Final = "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no"
INSTITUTION_7: Final = "http://jpfhir.jp/fhir/core/mhlw/IdSystem/MedicalOrganizationID"
PATIENT_AT_INSTITUTION: Final = "urn:oid:1.2.392.100495.20.3.51.1"  # + the institution's ten digits
INSURER: Final = "http://jpfhir.jp/fhir/core/mhlw/IdSystem/InsurerNumber"
PERSON_AT_MUNICIPALITY: Final = f"{OWN}/NamingSystem/atena"  # + / + the municipality's six digits: 宛名番号
HANDBOOK: Final = f"{OWN}/NamingSystem/mch-handbook"  # + / + the municipality's six digits: 母子健康手帳番号
MEMBER_ID: Final = "http://jpfhir.jp/fhir/clins/Idsystem/JP_Insurance_memberID"

# The product's own code systems
OWN_ITEM: Final = f"{OWN}/CodeSystem/mch-item"  # 母子保健 item ids of checkup and handbook forms: "lifestyle.smoke"
OWN_CATEGORY: Final = f"{OWN}/CodeSystem/category"  # names of consent.scope.Category
OWN_ORIGIN: Final = f"{OWN}/CodeSystem/origin"  # meta.tag: how the data came to be
OWN_ANSWER: Final = f"{OWN}/CodeSystem/mch-answer"  # answers of checkup forms; the code is the word: "異常なし", "−"
OWN_JUDGEMENT: Final = f"{OWN}/CodeSystem/judgement"  # the common list that each municipality's own is mapped to
OWN_FINDING: Final = f"{OWN}/CodeSystem/finding"  # of one item: no-finding, finding
OWN_SUPPORT: Final = f"{OWN}/CodeSystem/support-need"  # a municipality's team judgement, for staff only
OWN_VISIT: Final = f"{OWN}/CodeSystem/visit-kind"  # prenatal, postpartum, y1_6 …
OWN_VACCINE: Final = f"{OWN}/CodeSystem/vaccine"  # vaccine ids of the vaccination rules
OWN_DISEASE: Final = f"{OWN}/CodeSystem/vaccine-disease"
OWN_VISION: Final = f"{OWN}/CodeSystem/school-vision"  # A, B, C, D of the 児童生徒健康診断票
OWN_SCHOOL_DENTAL: Final = f"{OWN}/CodeSystem/school-dental"  # 0, 1, 2 of the same
OWN_MARK: Final = f"{OWN}/CodeSystem/mark"  # meta.security: minor-confidential, child-protection
OWN_SHA256: Final = f"{OWN}/IdSystem/sha256"  # of an input as it came
OWN_MUNICIPALITY: Final = f"{OWN}/NamingSystem/local-government-code"  # 6-digit 全国地方公共団体コード (団体コード)
SELF_MEASURED: Final = "self-measured"  # code of OWN_ORIGIN
CLAIM: Final = "claim"  # code of OWN_ORIGIN: read out of a bill (レセプト)
DISPENSE_KEY: Final = f"{OWN}/IdSystem/dispense-key"  # one dispensing as one channel tells it, exactly
DISPENSE_LOOSE_KEY: Final = f"{OWN}/IdSystem/dispense-loose-key"  # what channels share that number drugs differently
RECEIPT_DRUG: Final = f"{OWN}/CodeSystem/receipt-drug-code"  # レセプト電算 9 digits: nobody has published a URI
RECEIPT_PROCEDURE: Final = f"{OWN}/CodeSystem/receipt-procedure-code"
MHLW_DRUG: Final = f"{OWN}/CodeSystem/mhlw-drug-code"  # 薬価基準収載医薬品コード, 12 digits
SELF_ENTERED: Final = "self-entered"  # code of OWN_ORIGIN: told in a questionnaire

_OID = "urn:oid:"
_JP = "http://jpfhir.jp/fhir/core/CodeSystem/JP_"
_COVERAGE = "http://jpfhir.jp/fhir/core/Extension/StructureDefinition/JP_Coverage_"
# other spelling -> preferred spelling
ALIASES: Final[dict[str, str]] = {
    _OID + "1.2.392.200250.2.2.2": "http://jami.jp/SS-MIX2/CodeSystem/ClinicalDepartment",
    _JP + "EndoscopyTerminologyCodesJED_CS": _OID + "1.2.392.200270.4.1000.1",
    _OID + "1.2.392.100495.20.3.63": _COVERAGE + "InsuredPersonNumber",
    _OID + "1.2.392.100495.20.3.62": _COVERAGE + "InsuredPersonSymbol",
    "http://jpfhir.jp/fhir/core/mhlw/IdSystem/InsuredPersonNumber": _COVERAGE + "InsuredPersonNumber",
    "http://jpfhir.jp/fhir/core/mhlw/IdSystem/InsuredPersonSymbol": _COVERAGE + "InsuredPersonSymbol",
    _OID + "1.2.392.100495.20.2.62": "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/InsuredPersonCategory",
    _OID + "1.2.392.100495.20.3.61": INSURER,
    _OID + "1.2.392.100495.20.3.71": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicPayerNumber",
    _OID + "1.2.392.100495.20.3.72": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicInsuredPersonNumber",
    _OID + "1.2.392.100495.20.3.23": INSTITUTION_7,
    _OID + "1.2.392.100495.20.3.31": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/medicalRegistrationNumber",
    _OID + "1.2.392.100495.20.3.22": "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationFeeScoreType",
    _OID + "1.2.392.100495.20.3.81": RP_NUMBER,
    _OID + "1.2.392.100495.20.3.82": ORDER_IN_RP,
    _OID + "1.2.392.200250.2.2.20.32": "http://jami.jp/CodeSystem/MedicationBodySiteExternal",
    _OID + "1.2.392.100495.20.1.81": GENERIC_ORDER,
    _OID + "1.2.392.100495.20.2.73": YJ,
    _OID + "1.2.392.100495.20.2.22": "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationIngredientStrengthStrengthType",
    _OID + "1.2.392.200250.2.2.20.30": "http://jami.jp/CodeSystem/MedicationMethodBasicUsage",
    _OID + "1.2.392.200250.2.2.20.40": "http://jami.jp/CodeSystem/MedicationMethodDetailUsage",
    _OID + "1.2.392.100495.20.2.34": "http://jpfhir.jp/fhir/core/CodeSystem/route-codes",
    _OID + "2.16.840.1.113883.3.1937.777.10.5.162": "http://jpfhir.jp/fhir/core/CodeSystem/route-codes",
    _OID + "1.2.392.100495.20.2.41": "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationSubstitutionProhibittedCategory",
    _OID + "1.2.392.100495.20.2.101": MEDICATION_UNIT,
    _OID + "1.2.392.200250.2.2.20.20": USAGE,
    _OID + "1.2.392.200250.2.2.20.22": USAGE_ADDITIONAL,
    _OID + "1.2.392.200119.4.101.6": DISEASE_EXCHANGE,
    _OID + "1.2.392.200119.4.101.2": DISEASE_KEY,
    _OID + "1.2.392.200119.4.201.5": "http://medis.or.jp/CodeSystem/master-disease-modExCode",
    _OID + "1.2.392.200119.4.201.2": "http://medis.or.jp/CodeSystem/master-disease-modKeyNumber",
    _OID + "1.2.392.200119.4.804": "http://medis.or.jp/CodeSystem/master-nursingObservationKeyCode",
    _OID + "1.2.392.200119.4.402.1": HOT13,
    _OID + "1.2.392.200119.4.403.2": HOT7,
    _OID + "1.2.392.200119.4.403.1": HOT9,
    _OID + "1.2.392.100495.20.2.74": HOT9,
    _OID + "1.2.392.200119.4.504": JLAC10,
    _JP + "Microbiology_AntiMicrobialDrug_CS": _OID + "1.2.392.100495.10.3.100.5.11.5.2",
    _JP + "Microbiology_InfectiousAgent_CS": _OID + "1.2.392.100495.10.3.100.5.27.6.1",
    _OID + "1.2.392.100495.20.3.21": "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/PrefectureNo-2digits",
    _OID + "2.16.840.1.113883.6.1": LOINC,
    _OID + "2.16.840.1.113883.6.8": UCUM,
    _OID + "2.16.840.1.113883.6.96": SNOMED,
    _OID + "2.16.840.1.113883.6.3": ICD10,
    _OID + "2.16.840.1.113883.12.292": CVX,
}  # fmt: skip


def preferred(uri: str) -> str:
    """The preferred spelling of a system URI; an unknown one is returned as it is."""
    return ALIASES.get(uri, uri)
