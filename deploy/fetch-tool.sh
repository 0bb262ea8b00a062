#!/bin/sh
# Builds programs that only the tests and checks need: sh deploy/fetch-tool.sh NAME...
#
# Puts each, at the version pinned below, into tools/NAME under $NEARSIDE_BUILD (default: .build at
# the top of the repository), unless it is there. May be repeated. Needs Go and, the first time,
# the Go module proxy.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
tools=${NEARSIDE_BUILD:-$here/.build}/tools
go=${GO:-go}
say() { printf 'fetch-tool: %s\n' "$*" >&2; }

# pinned NAME: the module's path, the program's path below it, the version.
pinned() {
	case $1 in
	deadcode) echo golang.org/x/tools cmd/deadcode v0.52.0 ;;
	golangci-lint) echo github.com/golangci/golangci-lint/v2 cmd/golangci-lint v2.15.0 ;;
	govulncheck) echo golang.org/x/vuln cmd/govulncheck v1.9.0 ;;
	indexdb) echo golang.org/x/vulndb cmd/indexdb v0.0.0-20261105234957-e22db6528018 ;;
	versitygw) echo github.com/versity/versitygw cmd/versitygw v1.8.0 ;;
	*) say "there is no tool $1" && exit 1 ;;
	esac
}

mkdir -p "$tools"
cd "$here" && compiler=$("$go" env GOVERSION) # go.mod names it; a linter must not be older than the code
tab=$(printf '\t')
for name; do
	read -r module program version <<-END
		$(pinned "$name")
	END
	built=$("$go" version -m "$tools/$name" 2>/dev/null || true)
	case $built in *": $compiler"*"${tab}mod${tab}$module${tab}$version${tab}"*) continue ;; esac

	say "building $name $version"
	# Built in another folder first: the present program may be running.
	tmp=$(mktemp -d "$tools/$name.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	trap 'exit 1' HUP INT TERM
	# Outside the module, because our requirements are not those of the tool.
	(cd "$tmp" && GOBIN=$tmp GOTOOLCHAIN=$compiler "$go" install -v "$module/$program@$version" 2>&1) |
		sh "$here/deploy/progress.sh" >&2
	[ -x "$tmp/$name" ] || { say "$module@$version cannot be built: is the Go module proxy in reach?"; exit 1; }
	mv "$tmp/$name" "$tools/$name"
	rm -rf "$tmp"
done
