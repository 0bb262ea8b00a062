#!/bin/sh
# Reads what `go build -v` prints and shows how far it is: GO BUILD -v 2>&1 | sh deploy/progress.sh
#
# A build names each package that it compiles. A cold one has hundreds, which say nothing to
# anybody; none at all for minutes looks like a fault. So each twentieth is shown, with the
# count. What is not a package's name (an error, say) passes.
exec awk '
/^[a-z0-9][A-Za-z0-9._~\/-]*$/ { if (++n % 20 == 0) { print "  compiled " n " packages, now " $0; fflush() } next }
/^go: downloading / { if (++d % 20 == 0) { print "  fetched " d " modules, now " $3; fflush() } next }
{ print; fflush() }'
