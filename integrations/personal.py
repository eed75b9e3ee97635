"""Which fields of this app are personal (see `consent/personal.py`). The admin shows the plain ones."""

from consent.personal import PERSONAL, PLAIN, Declaration

DECLARED: Declaration = {
    "ImportRun": {
        "id": PLAIN, "kind": PLAIN, "subject": PERSONAL, "requested_by": PERSONAL, "organization": PLAIN,
        "client": PLAIN, "authority": PERSONAL, "state": PLAIN, "sha256": PERSONAL, "set_key": PERSONAL,
        "missing": PLAIN, "done": PLAIN, "total": PLAIN, "chunks": PLAIN, "created": PLAIN, "unchanged": PLAIN,
        "updated": PLAIN, "problems": PERSONAL, "claim": PLAIN, "attempts": PLAIN, "created_at": PLAIN,
        "started_at": PLAIN, "finished_at": PLAIN, "heartbeat_at": PLAIN,
    },
    "ImportPart": {
        "id": PLAIN, "run": PLAIN, "sha256": PERSONAL, "index": PLAIN, "total": PLAIN, "set_id": PERSONAL,
        "key_version": PLAIN, "sealed": PERSONAL,
    },
}  # fmt: skip
