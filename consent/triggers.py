"""SQL that makes the log append-only whoever asks; `manage.py grant_roles` is the second lock.

Only the owner of the tables, who migrates, can take it off; then `verify_audit` tells.
"""

from __future__ import annotations

FORWARD = """
CREATE FUNCTION consent_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON consent_auditentry
  FOR EACH ROW EXECUTE FUNCTION consent_append_only();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON consent_auditentry
  FOR EACH STATEMENT EXECUTE FUNCTION consent_append_only();
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON consent_auditbatch
  FOR EACH ROW EXECUTE FUNCTION consent_append_only();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON consent_auditbatch
  FOR EACH STATEMENT EXECUTE FUNCTION consent_append_only();
"""

REVERSE = """
DROP TRIGGER append_only_table ON consent_auditbatch;
DROP TRIGGER append_only_rows ON consent_auditbatch;
DROP TRIGGER append_only_table ON consent_auditentry;
DROP TRIGGER append_only_rows ON consent_auditentry;
DROP FUNCTION consent_append_only();
"""
