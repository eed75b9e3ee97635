"""Bulk export (Bulk Data Access IG 3.0.0): kick-off, status, files; a worker writes what was asked, chunk by chunk."""
