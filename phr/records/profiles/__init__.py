"""Profiles: packages of definitions, and whether a resource conforms to a profile."""
