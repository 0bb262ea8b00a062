#!/bin/sh
# Builds versitygw, the S3 server of the tests: sh deploy/fetch-versitygw.sh [BUILD_DIR]
#
# Puts the pinned version into BUILD_DIR (default: .build at the top of the repository), unless
# it is there. May be repeated. Needs Go and, the first time, the Go module proxy.
set -eu

module=github.com/versity/versitygw
version=v1.8.0

here=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-${NEARSIDE_BUILD:-$here/.build}}
go=${GO:-go}

if "$go" version -m "$build/versitygw" 2>/dev/null | grep -q "mod[[:space:]]*$module[[:space:]]*$version[[:space:]]"; then exit 0; fi

mkdir -p "$build"
build=$(cd "$build" && pwd)
printf 'fetch-versitygw: building %s %s\n' "$module" "$version" >&2
# Beside its place first: a test may be running the one that is there.
tmp=$(mktemp -d "$build/versitygw.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
cd "$tmp" # outside the module: our requirements are not its
GOBIN=$tmp GOFLAGS=-trimpath "$go" install "$module/cmd/versitygw@$version" || {
	printf 'fetch-versitygw: %s@%s cannot be built: is the Go module proxy in reach?\n' "$module" "$version" >&2
	exit 1
}
mv "$tmp/versitygw" "$build/versitygw"
