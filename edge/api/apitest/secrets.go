package apitest

import (
	"context"
	"os"
	"path/filepath"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/read"
	"github.com/nearside/nearside/core/trail"
)

// checkSecrets fails the test if one of the passwords and tokens that it has used is in the audit trail, as rows or as lines
// of JSON, or in the log of an edge. Every test of the API ends with it.
func (s *Site) checkSecrets() {
	t := s.Home.T
	ctx, cancel := context.WithTimeout(context.Background(), Limit/4)
	defer cancel()
	s.API.ReportRefusals(ctx)
	if err := s.Home.Trail.Report(ctx); err != nil {
		t.Log("not all failures are in the audit trail: ", err)
	}
	s.Home.Secrets.Check(t, "the log", s.Home.Secrets.Log())
	lines, err := s.AuditLines(ctx, t.TempDir())
	if err != nil {
		t.Log("the audit trail cannot be read: ", err) // the test has broken its database
		return
	}
	s.Home.Secrets.Check(t, "the audit trail", lines)
}

// AuditLines gives the audit trail as the lines of JSON that a node writes into a file in a directory.
func (s *Site) AuditLines(ctx context.Context, dir string) (string, error) {
	store := read.New(s.DB, nil)
	path := filepath.Join(dir, "audit.jsonl")
	lines, err := trail.NewLines(trail.LinesConfig{
		Path: path, Place: filepath.Join(dir, "place"), Last: store.LastAudit, Changed: s.Position,
		After: func(ctx context.Context, number int64, limit int) ([]core.Audit, error) {
			return store.Audits(ctx, read.AuditFilter{After: number, Onward: true}, read.Page{Size: limit})
		},
	})
	if err != nil {
		return "", err
	}
	if err := lines.Write(ctx); err != nil {
		return "", err
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := lines.Run(over); err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	return string(text), err
}
