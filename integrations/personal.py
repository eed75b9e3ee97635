"""Which fields of this app are personal (see `consent/personal.py`). The admin shows the plain ones."""

from consent.personal import PERSONAL, PLAIN, Declaration

DECLARED: Declaration = {
    "ImportRun": {
        "id": PLAIN, "kind": PLAIN, "subject": PERSONAL, "requested_by": PERSONAL, "organization": PLAIN,
        "client": PLAIN, "authority": PERSONAL, "state": PLAIN, "sha256": PERSONAL, "set_key": PERSONAL,
        "missing": PLAIN, "done": PLAIN, "total": PLAIN, "chunks": PLAIN, "created": PLAIN, "unchanged": PLAIN,
        "updated": PLAIN, "problems": PERSONAL, "claim": PLAIN, "attempts": PLAIN, "created_at": PLAIN,
        "started_at": PLAIN, "finished_at": PLAIN, "heartbeat_at": PLAIN, "profile": PLAIN, "dry": PLAIN,
        "asked": PLAIN, "bytes_done": PLAIN, "bytes_total": PLAIN, "retracted": PLAIN, "unmatched": PLAIN,
        "refused_items": PLAIN, "wrapped": PERSONAL, "kek": PLAIN, "original_until": PLAIN,
    },
    "ImportSlice": {"id": PLAIN, "run": PLAIN, "number": PLAIN, "piece": PLAIN, "sealed": PERSONAL},
    "LocalNumber": {
        "id": PLAIN, "organization": PLAIN, "system": PLAIN, "digest": PERSONAL, "subject": PERSONAL,
        "key_version": PLAIN, "sealed": PERSONAL, "ground": PLAIN, "linked_by": PERSONAL, "since": PLAIN,
        "until": PLAIN,
    },
    "Unlinked": {
        "id": PLAIN, "organization": PLAIN, "system": PLAIN, "digest": PERSONAL, "state": PLAIN,
        "not_disclosed": PERSONAL, "key_version": PLAIN, "sealed": PERSONAL, "number": PERSONAL, "decided_by":
        PERSONAL, "decided_at": PLAIN,
        "since": PLAIN,
    },
    "WaitingItem": {
        "id": PLAIN, "case": PERSONAL, "run": PLAIN, "kind": PLAIN, "digest": PERSONAL, "key_version": PLAIN,
        "sealed": PERSONAL, "since": PLAIN,
    },
    "KnownItem": {
        "id": PLAIN, "organization": PLAIN, "kind": PLAIN, "digest": PERSONAL, "subject": PERSONAL, "content": PERSONAL,
        "said_at": PERSONAL, "names": PERSONAL, "deleted": PLAIN, "number": PERSONAL, "salt": PERSONAL, "run": PLAIN,
    },
    "LinkCode": {
        "id": PLAIN, "subject": PERSONAL, "made_by": PERSONAL, "digest": PERSONAL, "made_at": PLAIN, "until": PLAIN,
        "used_at": PLAIN, "used_by": PLAIN,
    },
    "DeadLetter": {
        "id": PLAIN, "task": PLAIN, "reference": PLAIN, "reason": PLAIN, "error": PLAIN, "times": PLAIN,
        "state": PLAIN, "since": PLAIN, "last_at": PLAIN, "decided_at": PLAIN,
    },
    "KeptApart": {"id": PLAIN, "subject": PERSONAL, "name": PERSONAL, "separated_by": PERSONAL, "since": PLAIN},
    "ImportPart": {
        "id": PLAIN, "run": PLAIN, "sha256": PERSONAL, "index": PLAIN, "total": PLAIN, "set_id": PERSONAL,
        "key_version": PLAIN, "sealed": PERSONAL,
    },
    "Peer": {
        "id": PLAIN, "code": PLAIN, "name": PLAIN, "organization": PLAIN, "base": PLAIN, "origins": PLAIN,
        "token_url": PLAIN, "client": PLAIN, "launch_client": PLAIN, "kid": PLAIN, "algorithm": PLAIN,
        "public": PLAIN, "key_version": PLAIN,
        "purpose": PLAIN, "types": PLAIN, "categories": PLAIN, "pulls": PLAIN, "pushes": PLAIN, "bulk": PLAIN,
        "export_url": PLAIN, "export_taken": PLAIN, "export_since": PLAIN, "state": PLAIN, "failures": PLAIN,
        "problem": PLAIN,
        "next_at": PLAIN, "ok_at": PLAIN, "xid": PLAIN, "change": PLAIN, "claim": PLAIN, "claimed_at": PLAIN,
        "created_at": PLAIN, "sealed": PERSONAL,
    },
    "PeerPerson": {
        "id": PLAIN, "peer": PLAIN, "number": PERSONAL, "filled": PLAIN, "epoch": PERSONAL, "reconciled_at": PLAIN,
    },
    "PeerCursor": {"id": PLAIN, "person": PERSONAL, "type": PLAIN, "since": PERSONAL},
    "PeerKnown": {
        "id": PLAIN, "person": PERSONAL, "type": PERSONAL, "theirs": PERSONAL, "ours": PERSONAL, "version": PERSONAL,
        "modified": PERSONAL, "gone": PERSONAL, "problem": PERSONAL,
    },
    "PeerDelivery": {
        "id": PLAIN, "peer": PLAIN, "subject": PERSONAL, "type": PERSONAL, "ours": PERSONAL, "wanted": PLAIN,
        "sent": PLAIN, "theirs": PERSONAL, "state": PLAIN, "attempts": PLAIN, "next_at": PLAIN, "reason": PLAIN,
    },
}  # fmt: skip
