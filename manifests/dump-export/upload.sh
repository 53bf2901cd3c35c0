#!/bin/sh
# Uploads the dump of DUMP_FOLDER to DUMP_TARGET (a path of a remote of
# rclone.conf): under a name that nobody looks for, then under its own, and last
# its digest, which says that it is whole.
set -eu
cd "$DUMP_FOLDER"
set -- *.dump.sha256
digest=$1
file=${digest%.sha256}
[ $# -eq 1 ] && [ -f "$digest" ] && [ -f "$file" ] || { echo "there is not one dump with its digest in $DUMP_FOLDER: see what container dump says" >&2; exit 1; }
rclone copyto "$file" "$DUMP_TARGET/$file.partial"
rclone moveto "$DUMP_TARGET/$file.partial" "$DUMP_TARGET/$file"
rclone copyto "$digest" "$DUMP_TARGET/$digest"
