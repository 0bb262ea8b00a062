package pg

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// passing are the classes of errors that say nothing about what was sent: a connection, resources, an operator, another
// transaction, a disk.
var passing = []string{"08", "25", "40", "53", "55", "57", "58"}

// Refusal says why the server has refused what it was sent, however often it is sent; "" for any other error. It does not
// have the values that were refused, which the server puts into its details.
func Refusal(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) < 2 || slices.Contains(passing, e.Code[:2]) {
		return ""
	}
	return fmt.Sprintf("the database refuses it: %s (SQLSTATE %s, table %s, constraint %s)", e.Message, e.Code, cmp.Or(e.TableName, "-"), cmp.Or(e.ConstraintName, "-"))
}
