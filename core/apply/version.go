package apply

import "github.com/nearside/nearside/core/command"

// versionCounter holds the version of the log; there is none in a log of version 1.
const versionCounter = "log_version"

func raiseVersion(x *exec, c *command.RaiseVersion) (any, error) {
	if c.To != x.version()+1 {
		return nil, wrongVersion
	}
	Counters.Put(x, Counter{Name: versionCounter, Value: c.To})
	return nil, nil
}
