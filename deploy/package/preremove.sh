#!/bin/sh
# Before a removal. An upgrade lets the server run until the new one is there.
set -e
case "$1" in
remove | 0)
    if [ -d /run/systemd/system ]; then
        systemctl disable --now discordproxyserver.service || true
    fi
    ;;
esac
