package replica_test

import (
	"fmt"
	"reflect"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

func init() {
	moreCases = append(moreCases, func(w *town) map[reflect.Type]tripsCase {
		return map[reflect.Type]tripsCase{reflect.TypeFor[command.VerifyEmail](): {do: func(i int) core.Entry {
			return w.Entry(w.by, &command.VerifyEmail{UserID: w.users[i], Email: fmt.Sprint("user", i, "@x.org")})
		}}}
	})
}
