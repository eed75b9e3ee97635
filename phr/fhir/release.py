"""Which release of the program this is. pyproject.toml says the same (a test compares them)."""

from typing import Final

VERSION: Final = "0.1.0"
DATE: Final = "2026-11-20"
