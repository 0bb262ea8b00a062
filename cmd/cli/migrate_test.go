package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/cdn/disk"
	"github.com/nearside/nearside/cdn/s3/s3test"
)

// leaving is a source whose context is cancelled after some blobs.
type leaving struct {
	cdn.CopySource
	left  atomic.Int64
	leave context.CancelFunc
}

func (l *leaving) Get(ctx context.Context, d cdn.Digest, r cdn.Range) (cdn.Blob, error) {
	if l.left.Add(-1) == 0 {
		l.leave()
	}
	return l.CopySource.Get(ctx, d, r)
}

// bucketConfig writes the configuration of a home node with a bucket and gives its file.
func bucketConfig(t *testing.T, s *s3test.Server, bucket, secret string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "node.yaml")
	text := fmt.Sprintf(`name: a
region: b
roles: [home]
data: data
link: {listen: "127.0.0.1:0"}
files:
  s3: {endpoint: %q, bucket: %q, region: %q, path_style: path, access_key: %q, secret_key: %q}
`, s.Endpoint, bucket, s3test.Region, s.AccessKey, secret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// An interrupted copy from a disk to a bucket goes on where it stopped. Copied back to another disk,
// everything is as it was.
func TestFilesMigrate_Interrupted_GoesOn(t *testing.T) {
	server := s3test.Start(t)
	config := bucketConfig(t, server, server.Bucket(t), server.SecretKey)
	cfg, err := loadConfig(config, "which?")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "files")
	from, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	const blobs = 40
	for i := range byte(blobs) {
		d, b := cdntest.Content(i, 10_000)
		if err := from.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	to, err := cfg.OpenStore(t.Context(), "s3", true)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := &app{out: io.Discard, errOut: io.Discard}
	source := &leaving{CopySource: from, leave: cancel}
	source.left.Store(blobs / 2)
	first, err := a.migrate(ctx, source, to, false)
	if err == nil || !strings.Contains(err.Error(), "run the same command again") || first.Copied == 0 || first.Copied >= blobs {
		t.Fatalf("interrupted: %+v, %v", first, err)
	}
	code, out, errOut := run("files", "migrate", "--config", config, "--from", "disk:"+dir, "--to", "s3", "-o", "json")
	var second migrated
	if err := json.Unmarshal([]byte(out), &second); err != nil || code != exitDone ||
		second.Skipped < first.Copied || second.Copied+second.Skipped != blobs { // one may have been copied without being counted
		t.Errorf("exit code %d: %s%s; %d before", code, out, errOut, first.Copied)
	}
	back := filepath.Join(t.TempDir(), "back")
	code, out, errOut = run("files", "migrate", "--config", config, "--from", "s3", "--to", "disk:"+back, "--verify")
	if code != exitDone || !strings.Contains(out, "40 copied") {
		t.Errorf("back: exit code %d: %s%s", code, out, errOut)
	}
	err = from.List(t.Context(), cdn.Digest{}, func(i cdn.Info) error {
		name := i.Digest.String()
		_, err := os.Stat(filepath.Join(back, name[:2], name[2:4], name))
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// The doctor says which key of the bucket to correct, and never shows the secret.
func TestDoctor_Bucket_NamesTheKey(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	for name, c := range map[string]struct {
		config string
		code   int
		says   string
	}{
		"good":      {bucketConfig(t, server, bucket, server.SecretKey), exitDone, "can be written, read, listed and deleted from"},
		"secret":    {bucketConfig(t, server, bucket, "not-the-secret"), exitFailed, "change files.s3.secret_key"},
		"no bucket": {bucketConfig(t, server, "nothing-there", server.SecretKey), exitFailed, "change files.s3.bucket"},
	} {
		code, out, errOut := run("doctor", "--config", c.config)
		if code != c.code || !strings.Contains(out, c.says) || strings.Contains(out+errOut, "not-the-secret") || strings.Contains(out+errOut, server.SecretKey) {
			t.Errorf("%s: exit code %d: %s%s", name, code, out, errOut)
		}
	}
}
