"""Every problem this feed can report (`wording.json`)."""

from integrations.problems import Phrasebook
from integrations.receipts.table import HERE

say = Phrasebook(HERE / "wording.json")
