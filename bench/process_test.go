package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// The CPU time of a process is counted with that of the processes below it, also once they have ended.
func TestCPUOf(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc here:", err)
	}
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("sh", "-c", "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'").Run(); err != nil {
		t.Fatal(err)
	}
	after, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if spent := after - before; spent < 2*tick || spent > time.Minute {
		t.Errorf("a child that counted took %s", spent)
	}
	if _, err := cpuOf(-1); err == nil {
		t.Error("a process that is not there has CPU time")
	}
}
