#!/usr/bin/env bash
# Prove that a backup can be restored: drill.sh FILE. Needs DRILL_URL, an EMPTY database of its own,
# and the keys in the environment. Run it every month; a backup that was never restored is a hope.
set -euo pipefail
file=${1:?usage: drill.sh FILE}
: "${DRILL_URL:?DRILL_URL of an empty database}"
tables=$(psql "$DRILL_URL" -Atc "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
[ "$tables" = 0 ] || { echo "DRILL_URL is not empty; nothing was touched" >&2; exit 1; }
pg_restore --exit-on-error --no-owner --no-privileges --dbname "$DRILL_URL" "$file"
export DATABASE_URL=$DRILL_URL
python manage.py migrate --check
python manage.py verify_audit
python manage.py reindex  # opens every body: the keys fit
echo "restored: $(psql "$DRILL_URL" -Atc 'SELECT count(*) FROM phr_resource') resources"
