package region

import (
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// silent gives a logger for Raft that logs nothing.
func silent() hclog.InterceptLogger {
	return hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Off})
}

// raftLogger passes Raft's messages to slog, one level lower: what Raft logs as an error is mostly a peer
// that does not answer, and no fault of this node.
func raftLogger(l *slog.Logger) hclog.Logger {
	out := silent()
	out.RegisterSink(sink{l})
	return out
}

type sink struct{ logger *slog.Logger }

// Accept implements hclog.SinkAdapter.
func (s sink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	say := s.logger.Debug
	switch level {
	case hclog.Error:
		say = s.logger.Warn
	case hclog.Warn:
		say = s.logger.Info
	case hclog.NoLevel, hclog.Trace, hclog.Debug, hclog.Info, hclog.Off:
	}
	say("raft: "+msg, args...)
}
