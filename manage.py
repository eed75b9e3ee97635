#!/usr/bin/env python3
"""The command line. Without a DATABASE_URL, commands use the embedded servers under `var/`."""

from __future__ import annotations

import os
import sys

from phr import embedded

# These need no database, or (demo) look after the servers themselves.
ALONE = {
    "check", "collectstatic", "compilemessages", "demo", "diffsettings", "findstatic", "help",
    "makemessages", "makemigrations", "version",
}  # fmt: skip


def main(argv: list[str]) -> int:
    """Run one management command; a server that cannot start is one clear message, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "phr.settings")
    from django.core.management import execute_from_command_line

    alone = len(argv) < 2 or argv[1] in ALONE or argv[1].startswith("-") or "--help" in argv
    try:
        if alone:
            execute_from_command_line(argv)
        else:
            with embedded.ensure(embedded.default_folder()):
                execute_from_command_line(argv)
    except embedded.Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
