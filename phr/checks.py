"""System checks with ids and hints: a wrong deployment is refused, and told how to mend it."""

from phr.smart import checks as smart_checks

__all__ = ["smart_checks"]
