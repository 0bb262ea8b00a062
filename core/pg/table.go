package pg

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nearside/nearside/core/schema"
)

const (
	oidUUID  = 2950
	oidBytea = 17
	oidText  = 25
)

// Scan gives a scan function for a query for the Columns of a table of rows T.
func Scan[T any](s *schema.Shape) func(Row) (T, error) {
	return func(r Row) (T, error) { return ScanWith[T](s, r) }
}

// ScanRow reads a row of a query for Columns.
func ScanRow(s *schema.Shape, r Row) (schema.Row, error) {
	row := s.New()
	return row, r.Scan(&rowScan{s: s, row: row})
}

// ScanWith reads a row of a query for Columns and further columns after them, which go to more.
func ScanWith[T any](s *schema.Shape, r Row, more ...any) (T, error) {
	var row T
	err := r.Scan(&rowScan{s: s, row: schema.Row(&row), more: more})
	return row, err
}

// rowScan reads a row from the driver without the driver's reflection.
type rowScan struct {
	s    *schema.Shape
	row  schema.Row
	more []any
}

// ScanRow implements pgx.RowScanner.
func (r *rowScan) ScanRow(rows pgx.Rows) error {
	raw, n := rows.RawValues(), len(r.s.Columns)
	if len(raw) != n+len(r.more) {
		return fmt.Errorf("scan %s: %d columns, not %d", r.s.Name, len(raw), n+len(r.more))
	}
	fields := rows.FieldDescriptions()
	for i := range r.s.Columns {
		c := &r.s.Columns[i]
		if f := fields[i]; f.DataTypeOID != c.OID || f.Format != pgx.BinaryFormatCode && c.OID != oidText {
			return fmt.Errorf("scan %s: column %d is not a binary %s", r.s.Name, i+1, c.Name)
		}
	}
	if err := r.s.Read(r.row, raw[:n]); err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	for i, dst := range r.more {
		f := fields[n+i]
		if err := rows.Conn().TypeMap().Scan(f.DataTypeOID, f.Format, raw[n+i], dst); err != nil {
			return fmt.Errorf("scan %s: %w", f.Name, err)
		}
	}
	return nil
}
