"""The pages are tested with the people and the app of the token tests."""

from tests.smart.conftest import app, family

__all__ = ["app", "family"]
