package pg

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A process is a started program.
type process struct {
	pid  int
	done chan struct{} // closed when the program has ended; err is set before

	err error // of Wait; read after done
}

// startProcess starts cmd from a thread that stays until cmd has ended. On Linux the child gets the
// signal to quit when the thread that started it ends, and Go ends threads at any time.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// exit says how the ended program ended.
func (p *process) exit() error {
	if p.err != nil {
		return p.err
	}
	return errors.New("it ended by itself")
}

func (p *process) ok() bool { return p.err == nil }

// stop ends a server: with a fast shutdown, then an immediate one, then by SIGKILL. It returns when the
// process has ended.
func (p *process) stop() {
	select {
	case <-p.done:
		return
	default:
	}
	for _, step := range []struct {
		sig   syscall.Signal
		limit time.Duration
	}{{syscall.SIGINT, fastLimit}, {syscall.SIGQUIT, quitLimit}} {
		syscall.Kill(p.pid, step.sig) // fails only when it has ended
		select {
		case <-p.done:
			return
		case <-time.After(step.limit):
		}
	}
	p.kill()
}

func (p *process) kill() {
	syscall.Kill(p.pid, syscall.SIGKILL)
	<-p.done // a killed process ends
}
