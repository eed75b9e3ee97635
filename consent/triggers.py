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

# A line bears the number of the transaction that wrote it, whoever wrote it: a lower one would put it among what is
# sealed, a higher one would never be sealed. The function is called for a line that lies only.
OWN_TRANSACTION = """
CREATE FUNCTION consent_own_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.xid := pg_catalog.pg_current_xact_id()::text::bigint;
  RETURN NEW;
END $$;

CREATE TRIGGER own_transaction BEFORE INSERT ON consent_auditentry FOR EACH ROW
  WHEN (NEW.xid IS DISTINCT FROM pg_current_xact_id()::text::bigint)
  EXECUTE FUNCTION consent_own_transaction();
"""

ANY_TRANSACTION = """
DROP TRIGGER own_transaction ON consent_auditentry;
DROP FUNCTION consent_own_transaction();
"""
