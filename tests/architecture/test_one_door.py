"""Deeds and tables that have one door: whoever goes around it leaves something undone, or tells too much."""

from __future__ import annotations

import re

import pytest

from tests.architecture import project

# What is named, where it is looked for, and where alone it may stand.
ONE_DOOR = {
    # Sets the state of a link; the tokens end in severing. A death severs every token of the record by itself.
    r"\bset_frozen\b": (
        ("consent/", "phr/", "integrations/", "tests/"),
        {"consent/guardianship.py", "consent/death.py", "phr/smart/severing.py", "tests/consent/test_guardianship.py",
         "tests/consent/test_kin.py", "tests/integrations/feeds/test_authority.py"},
    ),
    # Doors tell of the log what `consent.log_view` lets them: they read it by `phr.trust.log_pages`.
    r"\bAuditEntry\b|\bconsent_auditentry\b": (("phr/api/", "phr/fhir/", "phr/web/", "phr/municipal/"), set()),
}  # fmt: skip


@pytest.mark.G("05", "07")
@pytest.mark.parametrize("named", ONE_DOOR)
def test_what_has_one_door_is_reached_by_no_other(named: str) -> None:
    folders, doors = ONE_DOOR[named]
    looked = [p for p in project.python() if str(p).startswith(folders) and p.name != "test_one_door.py"]
    found = {str(path) for path in looked if re.search(named, project.text(path))}
    assert len(looked) > 50
    assert found == doors
