#!/bin/sh
# After an installation or upgrade: dpkg says "configure" and the version that
# was there before, if any; rpm the number of versions that are there.
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
case "$1" in
configure) [ -n "$2" ] && upgrade=yes || upgrade= ;;
*) [ "$1" -gt 1 ] 2>/dev/null && upgrade=yes || upgrade= ;;
esac
if [ -z "$upgrade" ]; then
    echo "Discord Proxy needs the bot's token: put it into /etc/discordproxy/token, then run"
    echo "  systemctl enable --now discordproxyserver"
elif [ -d /run/systemd/system ]; then
    systemctl try-restart discordproxyserver.service || true
fi
