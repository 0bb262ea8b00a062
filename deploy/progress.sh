#!/bin/sh
# Reads what `go build -v` prints and shows how far it is: GO BUILD -v 2>&1 | sh deploy/progress.sh
#
# A build prints the name of each package that it compiles. A first build has hundreds of them; printing
# none for minutes would look like a fault. So every twentieth is printed, with the count. Other lines, such
# as errors, are passed on.
exec awk '
/^[a-z0-9][A-Za-z0-9._~\/-]*$/ { if (++n % 20 == 0) { print "  compiled " n " packages, now " $0; fflush() } next }
/^go: downloading / { if (++d % 20 == 0) { print "  fetched " d " modules, now " $3; fflush() } next }
{ print; fflush() }'
