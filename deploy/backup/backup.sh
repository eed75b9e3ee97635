#!/usr/bin/env bash
# Dump the database to a folder: backup.sh FOLDER. Bodies in it are sealed; the keys are not in it.
# Keep PHR_KEYS, PHR_INDEX_KEY and PHR_AUDIT_KEY somewhere else: without them the dump is unreadable.
set -euo pipefail
folder=${1:?usage: backup.sh FOLDER}
: "${DATABASE_URL:?DATABASE_URL of the owner or of a role with pg_read_all_data}"
umask 077
mkdir -p "$folder"
file="$folder/tsumugi-$(date -u +%Y%m%dT%H%M%SZ).dump"
pg_dump --format=custom --file "$file.part" "$DATABASE_URL"
pg_restore --list "$file.part" >/dev/null
mv "$file.part" "$file"
echo "$file"
