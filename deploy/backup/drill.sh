#!/usr/bin/env bash
# Prove that a backup can be restored: drill.sh FILE KEYS. FILE of backup.sh, KEYS the NEWEST of keys.sh, made after it.
# Needs DRILL_URL, an EMPTY database of its own, and the keys in the environment. Run it every month; a backup that was
# never restored is a hope. Restoring in earnest is the same: whoever was erased since is erased again.
set -euo pipefail
file=${1:?usage: drill.sh FILE KEYS}
keys=${2:?usage: drill.sh FILE KEYS}
: "${DRILL_URL:?DRILL_URL of an empty database}"
[ -r "$keys" ] && [ -r "$keys.erased" ] || { echo "$keys, $keys.erased: not readable; nothing was touched" >&2; exit 1; }
tables=$(psql "$DRILL_URL" -Atc "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
[ "$tables" = 0 ] || { echo "DRILL_URL is not empty; nothing was touched" >&2; exit 1; }
pg_restore --exit-on-error --no-owner --no-privileges --dbname "$DRILL_URL" "$file"
# Keys of persons who came later have nobody here.
psql "$DRILL_URL" -qX -v ON_ERROR_STOP=1 <<SQL
BEGIN;
CREATE TEMP TABLE k AS SELECT id, version, kek, wrapped, subject_id FROM consent_datakey WITH NO DATA;
\copy k FROM '$keys'
INSERT INTO consent_datakey (id, version, kek, wrapped, subject_id) SELECT k.* FROM k
 WHERE k.subject_id IS NULL OR EXISTS (SELECT FROM consent_subject s WHERE s.id = k.subject_id);
SELECT setval(pg_get_serial_sequence('consent_datakey', 'id'), (SELECT coalesce(max(id), 1) FROM k)) \g /dev/null
COMMIT;
SQL
export DATABASE_URL=$DRILL_URL
python manage.py migrate --check
python manage.py verify_audit
python manage.py erase_again "$keys.erased"
python manage.py reindex  # opens every body: the keys fit
echo "restored: $(psql "$DRILL_URL" -Atc 'SELECT count(*) FROM phr_resource') resources"
