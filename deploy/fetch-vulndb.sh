#!/bin/sh
# Makes the database of known vulnerabilities that `make vulnerabilities` asks: sh deploy/fetch-vulndb.sh
#
# vuln.go.dev serves Go's database; its source is a Go module, which the module proxy serves too.
# So the check needs only the proxy, and after the first time not even that. It uses the version that
# fetch-tool.sh pins, so its result depends on what has changed here and not on what was published today. Prints the database's URL. May be repeated.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${NEARSIDE_BUILD:-$here/.build}
go=${GO:-go}

sh "$here/deploy/fetch-tool.sh" indexdb
version=$("$go" version -m "$build/tools/indexdb" | awk '$1 == "mod" { print $3 }')
db=$build/vulndb/$version
if [ ! -d "$db" ]; then
	printf 'fetch-vulndb: indexing golang.org/x/vulndb %s\n' "$version" >&2
	source=$(cd / && "$go" mod download -json "golang.org/x/vulndb@$version" | awk -F'"' '$2 == "Dir" { print $4 }')
	rm -rf "$build/vulndb"
	mkdir -p "$build/vulndb"
	"$build/tools/indexdb" -vulns "$source/data/osv" -out "$db.part"
	mv "$db.part" "$db"
fi
printf 'file://%s\n' "$(cd "$db" && pwd)"
