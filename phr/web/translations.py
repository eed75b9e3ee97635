"""Compile `locale/*/LC_MESSAGES/django.po` to `.mo` without GNU gettext: `python -m phr.web.translations`.

The .mo files are checked in; a test compares them with the .po files. Format: GNU gettext manual, section 10.3.
"""

from __future__ import annotations

import ast
import struct
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"


def read_po(text: str) -> dict[str, str]:
    """msgid -> msgstr; a context is joined with EOT as in .mo files. Untranslated entries are left out."""
    entries: dict[str, str] = {}
    current: dict[str, str] = {}
    field = ""
    for line in [*text.splitlines(), ""]:
        keyword, _, quoted = line.strip().partition(" ")
        if keyword in ("msgctxt", "msgid", "msgstr"):
            field, current[keyword] = keyword, ast.literal_eval(quoted)
        elif line.startswith('"'):
            current[field] += ast.literal_eval(line.strip())
        elif not line.strip() and "msgid" in current:
            if current.get("msgstr"):
                context = current["msgctxt"] + "\x04" if "msgctxt" in current else ""
                entries[context + current["msgid"]] = current["msgstr"]
            current = {}
    return entries


def write_mo(entries: dict[str, str]) -> bytes:
    """The binary catalogue: header, two tables of (length, offset), NUL-terminated texts, sorted by msgid."""
    pairs = sorted((key.encode(), value.encode()) for key, value in entries.items())
    keys, values = b"", b""
    tables: list[tuple[int, int, int, int]] = []
    for key, value in pairs:
        tables.append((len(key), len(keys), len(value), len(values)))
        keys, values = keys + key + b"\0", values + value + b"\0"
    start = 28 + 16 * len(pairs)
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    originals = b"".join(struct.pack("<2I", n, start + at) for n, at, _, _ in tables)
    translations = b"".join(struct.pack("<2I", n, start + len(keys) + at) for _, _, n, at in tables)
    return head + originals + translations + keys + values


def compile_all() -> None:
    for po in LOCALE.glob("*/LC_MESSAGES/*.po"):
        po.with_suffix(".mo").write_bytes(write_mo(read_po(po.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    compile_all()
