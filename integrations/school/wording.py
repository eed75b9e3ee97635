"""Every problem a school's file can have (`wording.json`)."""

from pathlib import Path

from integrations.problems import Phrasebook

say = Phrasebook(Path(__file__).parent / "wording.json")
