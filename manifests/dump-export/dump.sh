#!/bin/sh
# Writes one dump of the service `production` (pg_service.conf) and its digest.
# DUMP_FOLDER is where to, DUMP_NAME begins the file's name. Arguments are
# pg_dump's, beside those here.
set -eu
file=$DUMP_FOLDER/$DUMP_NAME-$(date -u +%Y-%m-%dT%H%M%SZ).dump
rm -f "$DUMP_FOLDER"/*
# gzip, the default, has checksums. Into a file, so that the archive knows where
# each table begins.
pg_dump --format=custom --no-owner --file="$file" "$@" service=production
# Nobody is to believe an archive that cannot be listed.
pg_restore --list "$file" >/dev/null
cd "$DUMP_FOLDER"
sha256sum "${file##*/}" >"$file.sha256"
