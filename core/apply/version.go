package apply

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
)

// VersionCounter holds the version of the log; it is absent in a log of version 1.
const VersionCounter = "log_version"

// wrongVersion refuses to skip a version.
var wrongVersion = core.Refusal{Kind: core.KindInvalid, ID: "nearside.log_version.app_error"}

func raiseVersion(x *exec, c *command.RaiseVersion) (any, error) {
	if c.To != x.version()+1 {
		return nil, wrongVersion
	}
	Counters.Put(x, Counter{Name: VersionCounter, Value: c.To})
	return nil, nil
}
