"""Other FHIR servers we keep in step with (SMART Backend Services)."""
