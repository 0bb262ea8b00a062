// Package s3test gives tests a real S3 server: versitygw over a temporary folder, on a free
// loopback port, with keys of its own. Tests can kill it, start it again, and damage its objects
// on the disk.
//
// The program is the pinned version that deploy/fetch-tool.sh builds in $NEARSIDE_BUILD, or in
// .build at the top of the repository, at the first use.
//
// Concurrency: a Server is for one test; the servers of parallel tests are independent.
// Lifecycle: a server ends with its test. If the test binary is killed, the server ends too.
package s3test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sys/unix"
)

const (
	startLimit = 30 * time.Second
	buildLimit = 9 * time.Minute
	poll       = 20 * time.Millisecond
	portTries  = 5
)

// Region is the region of the server's buckets.
const Region = "eu-test-1"

// Server is one versitygw. Endpoint and keys stay the same after a restart.
type Server struct {
	Endpoint  string // http://127.0.0.1:PORT
	AccessKey string
	SecretKey string

	t    testing.TB
	bin  string
	dir  string // a bucket is a folder in root, an object a file below it
	port int
	args []string

	mu    sync.Mutex // guards everything below
	cmd   *exec.Cmd  // nil if it is stopped
	hold  *os.File   // the server ends when this is closed
	ended chan struct{}
	log   *syncBuffer
}

// Option changes how the server runs.
type Option func(*Server)

// VirtualHosts makes the server also accept BUCKET.domain as a bucket's address.
func VirtualHosts(domain string) Option {
	return func(s *Server) { s.args = append(s.args, "--virtual-domain", domain) }
}

// Start runs a server until the test ends. It skips the test, with the reason, if there is no
// versitygw and none can be built.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Skipf("no S3 server: %v", err)
	}
	s := &Server{t: t, bin: bin, dir: t.TempDir(), AccessKey: "test" + rand.Text()[:12], SecretKey: rand.Text(), log: &syncBuffer{}}
	for _, set := range options {
		set(s)
	}
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	for range portTries { // another process may have taken the free port
		if s.port, err = freePort(); err != nil {
			t.Fatal(err)
		}
		if err = s.run(); err == nil {
			s.Endpoint = fmt.Sprintf("http://127.0.0.1:%d", s.port)
			return s
		}
	}
	t.Fatalf("start versitygw: %v\n%s", err, s.log)
	return nil
}

func (s *Server) prepare() error {
	for _, name := range []string{"root", "users"} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// Start starts the server again after Stop, with the same data.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.run(); err != nil {
		s.t.Fatalf("start versitygw again: %v\n%s", err, s.log)
	}
}

// Stop kills the server. Stopping it twice is not an error.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // kills the process group: the server and its shell
	<-s.ended
	_ = s.hold.Close()
	s.cmd = nil
}

// underShell starts a shell that becomes the program, and a second shell that reads from a pipe.
// Nobody writes to the pipe, so the read ends when this process ends; then the second shell kills
// the program.
const underShell = `exec 3<&0
{ read -r _ <&3; kill -9 $$; } >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null`

func (s *Server) run() error {
	ended, err := s.spawn()
	if err != nil {
		return err
	}
	if err := s.awaitReady(ended); err != nil {
		s.Stop()
		return err
	}
	return nil
}

func (s *Server) spawn() (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", underShell, "sh", s.bin}, s.arguments()...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, s.log, s.log
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey) // in the environment, so that `ps` does not show them
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it was killed, so it returns an error
	}()
	s.cmd, s.hold, s.ended = cmd, w, ended
	return ended, nil
}

func (s *Server) arguments() []string {
	args := append([]string{
		"--port", fmt.Sprintf("127.0.0.1:%d", s.port), "--region", Region, "--health", "/health", "--quiet", "--keep-alive",
		"--iam-dir", filepath.Join(s.dir, "users"), "--iam-cache-disable",
	}, s.args...)
	args = append(args, "posix")
	if root := filepath.Join(s.dir, "root"); !attributes(root) {
		side := filepath.Join(s.dir, "meta")
		_ = os.MkdirAll(side, 0o700) // if it fails, the server reports it
		args = append(args, "--sidecar", side)
	}
	return append(args, filepath.Join(s.dir, "root"))
}

// attributes reports whether the file system supports the extended attributes that the server
// uses.
func attributes(dir string) bool {
	probe := filepath.Join(dir, "..", "attributes")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		return false
	}
	return unix.Setxattr(probe, "user.nearside", []byte("1"), 0) == nil
}

func (s *Server) awaitReady(ended <-chan struct{}) error {
	url := fmt.Sprintf("http://127.0.0.1:%d/health", s.port)
	client := http.Client{Timeout: time.Second}
	deadline := time.After(startLimit)
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ended: // its port was taken, for example; another server may answer there
			return errors.New("it ended at once")
		case <-deadline:
			return fmt.Errorf("not ready after %v", startLimit)
		}
		if resp, err := client.Get(url); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK && s.ours(client) {
				return nil
			}
		}
	}
}

// ours reports whether the server at our port knows our keys: another test's server may have
// taken the port.
func (s *Server) ours(client http.Client) bool {
	c, err := s.client(fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), client.Timeout)
	defer cancel()
	_, err = c.ListBuckets(ctx)
	return err == nil
}

// Bucket makes an empty bucket and returns its name.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	name := "bucket-" + strings.ToLower(rand.Text()[:12])
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := s.Client(t).MakeBucket(ctx, name, minio.MakeBucketOptions{Region: Region}); err != nil {
		t.Fatalf("make bucket: %v", err)
	}
	return name
}

// Client returns a plain client of the server, with all permissions.
func (s *Server) Client(t testing.TB) *minio.Core {
	t.Helper()
	c, err := s.client(strings.TrimPrefix(s.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *Server) client(hostport string) (*minio.Core, error) {
	return minio.NewCore(hostport, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: Region, BucketLookup: minio.BucketLookupPath,
	})
}

// User makes a user whose only permissions are those that policy gives on a bucket, and returns
// its keys. PRINCIPAL in the policy stands for the user.
func (s *Server) User(t testing.TB, bucket, policy string) (accessKey, secretKey string) {
	t.Helper()
	accessKey, secretKey = "user"+rand.Text()[:12], rand.Text()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.bin, "admin", "--access", s.AccessKey, "--secret", s.SecretKey, "--region", Region,
		"--endpoint-url", s.Endpoint, "create-user", "--access", accessKey, "--secret", secretKey, "--role", "user")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("create user: %v\n%s", err, out)
	}
	if err := s.Client(t).SetBucketPolicy(ctx, bucket, strings.ReplaceAll(policy, "PRINCIPAL", accessKey)); err != nil {
		t.Fatalf("set policy: %v", err)
	}
	return accessKey, secretKey
}

// File returns the path of the file that holds an object, for tests that damage it.
func (s *Server) File(bucket, object string) string {
	return filepath.Join(s.dir, "root", bucket, filepath.FromSlash(object))
}

// program returns the path of versitygw, and builds it if necessary. A file lock lets one process
// build at a time.
var program = sync.OnceValues(func() (string, error) {
	top, err := repository()
	if err != nil {
		return "", err
	}
	build := os.Getenv("NEARSIDE_BUILD")
	if build == "" {
		build = filepath.Join(top, ".build")
	}
	if err := os.MkdirAll(build, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(build, "versitygw.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", filepath.Join(top, "deploy", "fetch-tool.sh"), "versitygw")
	cmd.Env = append(os.Environ(), "NEARSIDE_BUILD="+build)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return filepath.Join(build, "tools", "versitygw"), nil
})

// repository returns the folder of the go.mod above the test.
func repository() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// syncBuffer is the server's output: the process writes it while the test reads.
type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
