#!/usr/bin/env bash
# Builds the container's image with buildah and runs it, as root and without a
# registry: a stand-in for the image with Go is made of the Go, the modules and
# the certificates of this machine, and of busybox.
set -euo pipefail
cd "$(dirname "$0")/../.."
fail() { echo "FAILED: $*" >&2; exit 1; }
work=$(mktemp -d)
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
at=(--root "$work/storage" --runroot "$work/run")
buildah() { command buildah "${at[@]}" "$@"; }
server=
# shellcheck disable=SC2329 # the trap calls it
clean() {
    if [ -n "$server" ]; then
        kill -- "-$server" 2>/dev/null || true # with all that buildah has started
        wait "$server" || true
    fi
    buildah rm --all >/dev/null || true
    rm -rf "$work"
}
trap clean EXIT

base=$(sed -n 's/^FROM .* \(golang:[^ ]*\) AS build$/\1/p' deploy/container/Dockerfile)
container=$(buildah from scratch)
root=$(buildah mount "$container")
mkdir -p "$root"/{bin,root,tmp,modules,cache,etc/ssl/certs,usr/local/go}
chmod 1777 "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
for tool in sh mkdir cp; do ln -s busybox "$root/bin/$tool"; done
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
buildah config --env PATH=/usr/local/go/bin:/bin --env HOME=/root --env GOPROXY=off --env GOTOOLCHAIN=local \
    --env GOMODCACHE=/modules --env GOCACHE=/cache "$container"
buildah commit --quiet --rm "$container" "docker.io/library/$base" >/dev/null

go mod download
buildah build --quiet --pull-never --format docker -f deploy/container/Dockerfile \
    --build-arg VERSION=1.2.3 --build-arg COMMIT=abc1234 \
    -v "$(go env GOROOT):/usr/local/go:ro" -v "$(go env GOMODCACHE):/modules:ro" -v "$(go env GOCACHE):/cache" -t discordproxy . >/dev/null

buildah inspect --type image discordproxy | python3 -c '
import json, sys
config = json.load(sys.stdin)["Docker"]["config"]
assert config["User"] == "65532:65532", config
assert config["Entrypoint"] == ["/usr/bin/discordproxyserver"], config
assert config["Healthcheck"]["Test"] == ["CMD", "/usr/bin/discordproxyserver", "health", "--live"], config
'
image=$(buildah from discordproxy)
inside() { buildah run "$image" -- "$@"; }
inside /usr/bin/discordproxyserver --version | tr '\n' ' ' | grep '1\.2\.3.*abc1234' >/dev/null || fail "it has another version"
setsid buildah "${at[@]}" run "$image" -- /usr/bin/discordproxyserver --sandbox --host 127.0.0.1 --port 0 >"$work/output" 2>&1 &
server=$!
for _ in $(seq 600); do
    port=$(sed -n 's/.*listens on 127\.0\.0\.1:\([0-9]*\)$/\1/p' "$work/output")
    [ -z "$port" ] || break
    kill -0 "$server" 2>/dev/null || fail "it ended: $(cat "$work/output")"
    sleep 0.1
done
inside /usr/bin/discordproxyserver health --live --port "$port"
inside /usr/bin/discordproxymessage --port "$port" channel 1100000000000000010 hello
owner=$(stat -c %u "$(buildah mount "$image")/var/lib/discordproxy")
[ "$owner" = 65532 ] || fail "its folder belongs to $owner"
echo "the image was built and runs"
