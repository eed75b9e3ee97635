"""Every problem this connector can report (`wording.json`)."""

from integrations.jahis_qr.table import HERE
from integrations.problems import Phrasebook

say = Phrasebook(HERE / "wording.json")
