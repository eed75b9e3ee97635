#!/usr/bin/env bash
# Dump the database to a folder: backup.sh FOLDER. Bodies in it are sealed; no key that opens them is in it.
# The data keys are dumped by keys.sh, to a place of their own. Keep PHR_KEYS, PHR_INDEX_KEY and PHR_AUDIT_KEY
# somewhere else again: without any one of the three the dump is unreadable.
set -euo pipefail
folder=${1:?usage: backup.sh FOLDER}
: "${DATABASE_URL:?DATABASE_URL of the owner or of a role with pg_read_all_data}"
umask 077
mkdir -p "$folder"
file="$folder/tsumugi-$(date -u +%Y%m%dT%H%M%SZ).dump"
pg_dump --format=custom --exclude-table-data=consent_datakey \
  --exclude-table-data=phr_exportjob --exclude-table-data=phr_exportfile --file "$file.part" "$DATABASE_URL"
pg_restore --list "$file.part" >/dev/null
mv "$file.part" "$file"
echo "$file"
