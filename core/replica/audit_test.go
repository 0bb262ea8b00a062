package replica_test

import (
	"reflect"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

func init() {
	moreCases = append(moreCases, func(w *town) map[reflect.Type]tripsCase {
		return map[reflect.Type]tripsCase{
			reflect.TypeFor[command.ReportAudits](): {do: func(i int) core.Entry {
				return w.Entry(command.Caller{}, &command.ReportAudits{Audits: []core.Audit{{Kind: core.AuditRefusal, UserID: w.users[i], Action: core.AuditLoginFailed, Address: "192.0.2.1"}}})
			}},
			reflect.TypeFor[command.ReportRefusals](): {do: func(i int) core.Entry {
				return w.Entry(w.people[i], &command.ReportRefusals{Refusals: []core.Audit{{Action: "GET /", Result: "no"}}})
			}},
			reflect.TypeFor[command.TrimAudits](): {do: func(int) core.Entry {
				return w.Entry(command.Caller{}, &command.TrimAudits{Before: 1})
			}},
		}
	})
}
