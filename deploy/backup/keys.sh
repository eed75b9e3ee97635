#!/usr/bin/env bash
# Dump the data keys, and who was erased: keys.sh FOLDER. Another disk than the backups', and soon forgotten: what was
# erased cannot be read from any backup once the last copy of its key is gone, KEY_DAYS (7) days later.
set -euo pipefail
folder=${1:?usage: keys.sh FOLDER}
: "${DATABASE_URL:?DATABASE_URL of the owner or of a role with pg_read_all_data}"
umask 077
mkdir -p "$folder"
file="$folder/tsumugi-$(date -u +%Y%m%dT%H%M%SZ).keys"
# One transaction: a person is in exactly one of the two files.
psql "$DATABASE_URL" -qX -v ON_ERROR_STOP=1 <<SQL
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
\copy (SELECT id, version, kek, wrapped, subject_id FROM consent_datakey) TO '$file.part'
\copy (SELECT id FROM consent_subject WHERE state = 'erased') TO '$file.erased.part'
COMMIT;
SQL
mv "$file.erased.part" "$file.erased"
mv "$file.part" "$file"
find "$folder" -maxdepth 1 -name 'tsumugi-*.keys*' -mtime +"${KEY_DAYS:-7}" -delete
echo "$file"
