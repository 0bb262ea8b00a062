package world

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Machine gives one paragraph about the machine and the software.
func Machine(ctx context.Context) string {
	return fmt.Sprintf("%s, %d cores used, %s memory, %s, %s, %s, commit %s",
		Field("/proc/cpuinfo", "model name"), runtime.GOMAXPROCS(0), Field("/proc/meminfo", "MemTotal"),
		says(ctx, "uname", "-sr"), runtime.Version(), postgresVersion(ctx), says(ctx, "git", "describe", "--always", "--dirty"))
}

func postgresVersion(ctx context.Context) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	for _, p := range append(append(found, "postgres"), filepath.Join(".build", "postgres", "bin", "postgres")) {
		if v := says(ctx, p, "--version"); v != unknown {
			return v
		}
	}
	return "PostgreSQL " + unknown
}

const unknown = "unknown"

func says(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return unknown
	}
	return strings.TrimSpace(string(out))
}

// Field gives what a file says behind a key and a colon, such as those in /proc.
func Field(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return unknown
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return unknown
}

// Memory gives a field of /proc/PID/status in bytes: VmRSS is what a process has in memory, VmHWM the most that it had.
func Memory(pid int, field string) (int64, error) {
	kib, ok := strings.CutSuffix(Field(fmt.Sprintf("/proc/%d/status", pid), field), " kB")
	n, err := strconv.ParseInt(strings.TrimSpace(kib), 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("memory of process %d: no field %s", pid, field)
	}
	return n << 10, nil
}
