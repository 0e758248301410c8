#!/bin/sh
# After a removal. Only dpkg's purge takes the token and the logs too.
set -e
if [ "$1" = purge ]; then
    rm -rf /etc/discordproxy
    for folder in /var/log /var/lib; do
        rm -rf "$folder/private/discordproxy" "$folder/discordproxy"
    done
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
