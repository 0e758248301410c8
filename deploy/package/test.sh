#!/usr/bin/env bash
# Installs the Debian package on this machine, starts it, uses it, upgrades it
# and purges it, as root; then looks into the package for Red Hat. Two folders
# that deploy/release has filled are given, the second of a higher version.
#
# systemd need not run: the line of the unit that starts the server is run by
# hand, with what systemd would give it and without any privilege. What only
# systemd can do, the unit's restrictions above all, is not tested here.
set -euo pipefail
old=$1 new=$2
package=discordproxy
unit=/usr/lib/systemd/system/discordproxyserver.service
work=$(mktemp -d)
chmod 755 "$work"
fail() { echo "FAILED: $*" >&2; exit 1; }

# has searches its input to the end, so that the command in front of it can write
# all it has; with grep -q, pipefail would take that command's SIGPIPE for a failure.
has() { grep "$@" >/dev/null; }

if dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | has .; then
    fail "$package is installed already; this test would purge it"
fi

pids=()
# shellcheck disable=SC2329 # the trap calls it
clean() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    dpkg --purge "$package" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

# await TEXT FILE waits until the file holds the text.
await() {
    for _ in $(seq 600); do
        if grep -q "$1" "$2" 2>/dev/null; then return; fi
        sleep 0.1
    done
    cat "$2" "$work/server" >&2 || true
    fail "$2 does not say $1"
}

# listen_to_notices FILE plays systemd's end of NOTIFY_SOCKET.
listen_to_notices() {
    rm -f "$work/notify"
    python3 - "$work/notify" >"$1" <<'END' &
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
print("listens", flush=True)
while True:
    print(s.recv(4096).decode(), flush=True)
END
    pids+=($!)
    await listens "$1"
}

# start_unit NOTICES runs the unit's ExecStart as a user without rights, in its
# folders and with its files; the process is $server then.
start_unit() {
    listen_to_notices "$1"
    local line
    line=$(sed -n 's/^ExecStart=//p' "$unit")
    mkdir -p "$work/credentials" /var/log/discordproxy /var/lib/discordproxy
    local copies copy name path
    copies=$(sed -n 's/^LoadCredential=//p' "$unit")
    for copy in $copies; do
        name=${copy%%:*} path=${copy#*:}
        install -m 400 "$path" "$work/credentials/$name"
    done
    chown -R nobody "$work/credentials" /var/log/discordproxy /var/lib/discordproxy
    (
        cd /var/lib/discordproxy
        set -a
        # shellcheck disable=SC1090 # the file that the unit names
        . "$(sed -n 's/^EnvironmentFile=-//p' "$unit")"
        export CREDENTIALS_DIRECTORY=$work/credentials LOGS_DIRECTORY=/var/log/discordproxy NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=1000000
        # shellcheck disable=SC2046 # systemd splits the line at spaces too
        exec setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs --bounding-set=-all \
            $(eval echo "$line")
    ) >"$work/server" 2>&1 &
    server=$!
    pids+=("$server")
    await READY=1 "$1"
    await WATCHDOG=1 "$1"
    port=$(sed -n 's/.*listens on 127.0.0.1:\([0-9]*\)$/\1/p' "$work/server")
    await "logged in" /var/log/discordproxy/discordproxyserver.log
}

# reload_unit NOTICES does what the unit's reload does, with copies refreshed.
reload_unit() {
    grep -q '^ExecReload=.*-HUP' "$unit" || fail "the unit has no reload"
    install -m 400 -o nobody /etc/discordproxy/config.yaml "$work/credentials/config.yaml"
    kill -HUP "$server"
    await RELOADING=1 "$1"
    await MONOTONIC_USEC= "$1"
}

use() {
    discordproxyserver health --port "$port" | has -x ready || fail "it is not ready"
    discordproxymessage --port "$port" channel "$channel" "$1" | has -x "Message sent" || fail "no message was sent"
}

stop_unit() {
    kill "$server"
    await STOPPING=1 "$1"
    wait "$server" || fail "the server ended with $?"
}

echo "== install"
dpkg --install "$old"/*_amd64.deb | tee "$work/installed"
grep -q /etc/discordproxy/token "$work/installed" || fail "the package does not say where the token belongs"
dpkg --verify "$package"
[ "$(stat -c '%a %U' /etc/discordproxy)" = "700 root" ] || fail "the folder of the token is readable by others"
[ "$(stat -c '%a %U' /etc/discordproxy/config.yaml)" = "600 root" ] || fail "the configuration is readable by others"
dpkg-query -W -f '${Conffiles}' "$package" | has /etc/discordproxy/config.yaml || fail "the configuration is no conffile"
before=$(discordproxyserver --version)
man --warnings --where discordproxyserver discordproxymessage >/dev/null || fail "there is no manual page"
man --warnings discordproxyserver 2>"$work/man" | has -- --token-file || fail "the manual page does not know --token-file"
[ ! -s "$work/man" ] || fail "the manual page: $(cat "$work/man")"
bash -c '
    . /usr/share/bash-completion/completions/discordproxyserver
    COMP_WORDS=(discordproxyserver --log) COMP_CWORD=1
    _discordproxyserver
    echo "${COMPREPLY[@]}"' | has -- "--log-console-level.*--log-file-path" || fail "bash completes nothing"

echo "== start"
discordproxyserver sandbox --port 0 >"$work/discord" 2>&1 &
pids+=($!)
await "refuses messages" "$work/discord"
say() { sed -n "s/^ *$1 *//p" "$work/discord" | cut -d ' ' -f 1; }
channel=$(say "text channels")
(umask 077 && say token >/etc/discordproxy/token)
cat >>/etc/default/discordproxyserver <<END
DISCORDPROXY_DISCORD_API_URL=$(sed -n 's/.*Discord, is at \(http[^ ]*\).*/\1/p' "$work/discord")
DISCORDPROXY_PORT=0
END
start_unit "$work/notices"
use "from the old version"

echo "== reload"
echo "max-queue: 77" >>/etc/discordproxy/config.yaml
reload_unit "$work/notices"
await "settings=max-queue" /var/log/discordproxy/discordproxyserver.log
use "after the reload"

echo "== upgrade, while it runs"
dpkg --install "$new"/*_amd64.deb | tee "$work/upgraded"
! grep -q token "$work/upgraded" || fail "an upgrade asks for the token again"
grep -q DISCORDPROXY_PORT=0 /etc/default/discordproxyserver || fail "the upgrade has lost the settings"
[ -s /etc/discordproxy/token ] || fail "the upgrade has lost the token"
grep -qx "max-queue: 77" /etc/discordproxy/config.yaml || fail "the upgrade has lost the configuration"
after=$(discordproxyserver --version)
[ "$before" != "$after" ] || fail "the version is still $after"
use "after the upgrade, before the restart"
stop_unit "$work/notices"
start_unit "$work/notices2"
use "from the new version"
stop_unit "$work/notices2"
grep -q "$(cut -d ' ' -f 3- <<<"$after")" "$work/server" || fail "the new version does not run: $(cat "$work/server")"

echo "== remove and purge"
dpkg --remove "$package"
[ ! -e /usr/bin/discordproxyserver ] || fail "the command is still there"
[ -s /etc/discordproxy/token ] || fail "a removal takes the token"
dpkg --purge "$package"
for path in /etc/discordproxy /etc/default/discordproxyserver /var/log/discordproxy /var/lib/discordproxy; do
    [ ! -e "$path" ] || fail "the purge has left $path"
done

echo "== the package for Red Hat"
if command -v rpm >/dev/null; then
    rpm --checksig --nosignature "$new"/*.x86_64.rpm
    rpm --root "$work/redhat" --initdb
    rpm --root "$work/redhat" --install --nodeps --noscripts --ignorearch "$new"/*.x86_64.rpm
    [ "$("$work/redhat/usr/bin/discordproxyserver" --version)" = "$after" ] || fail "another version is in the package for Red Hat"
    [ -e "$work/redhat$unit" ] || fail "the package for Red Hat holds no unit"
else
    echo "NOT CHECKED: there is no rpm here"
fi
echo "== done"
