package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An error in the settings of files names the key that must be corrected.
func TestFiles_BadSettings_NameTheKey(t *testing.T) {
	keys := func(change func(*S3)) *S3 {
		s := &S3{Bucket: "b", AccessKey: "a", SecretKey: "s", Region: "eu"}
		change(s)
		return s
	}
	for want, f := range map[string]Files{
		"files.max_mb":        {MaxMB: -1},
		"files.person_gb":     {TeamGB: -1},
		"files.cache_mb":      {CacheMB: -1},
		"files.acknowledge":   {Acknowledge: "soon"},
		"files.redirect":      {Redirect: true},
		"excludes sse: c":     {Redirect: true, S3: keys(func(s *S3) { s.SSE, s.SSEKeyFile = "c", "/key" })},
		"acknowledge: local":  {Redirect: true, Acknowledge: "local", S3: keys(func(*S3) {})},
		"files.grace":         {Grace: time.Minute},
		"files.keep_deleted":  {KeepDeleted: -time.Hour},
		"files.clamd":         {Clamd: "clamd"},
		"after unix:":         {Clamd: "unix:run/clamd"},
		"files.s3.bucket":     {S3: keys(func(s *S3) { s.Bucket = "" })},
		"files.s3.iam":        {S3: keys(func(s *S3) { s.IAM = true })},
		"files.s3.path_style": {S3: keys(func(s *S3) { s.PathStyle = "any" })},
		"files.s3.endpoint":   {S3: keys(func(s *S3) { s.Endpoint = "ftp://x" })},
		"files.s3.sse":        {S3: keys(func(s *S3) { s.SSE = "rot13" })},
	} {
		if err := f.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
	for _, good := range []Files{
		{}, {Clamd: "unix:/run/clamd.ctl"}, {Clamd: "10.0.0.1:3310"}, {S3: keys(func(*S3) {}), Redirect: true},
		{Acknowledge: "local", Grace: 2 * time.Hour},
	} {
		if err := good.check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
}

// A secret is written to the configuration file, and nowhere else.
func TestSecret_IsNotShown(t *testing.T) {
	cfg := Config{Name: "a", Region: "b", Roles: []string{RoleHome}, Data: "d", Files: Files{S3: &S3{Bucket: "b", AccessKey: "a", SecretKey: "hush"}}}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "files", cfg.Files.S3.SecretKey, "all", fmt.Sprint(*cfg.Files.S3))
	inJSON, err := json.Marshal(cfg.Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{log.String(), string(inJSON), fmt.Sprintf("%v %+v %#v %s", *cfg.Files.S3, cfg.Files.S3, *cfg.Files.S3, cfg.Files.S3.SecretKey)} {
		if strings.Contains(shown, "hush") {
			t.Errorf("shown: %s", shown)
		}
	}
	raw, err := cfg.Encode()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(file); err != nil || got.Files.S3.SecretKey != "hush" {
		t.Errorf("%v: %s", err, raw)
	}
}

// Paths in the settings of files are relative to the configuration that names them.
func TestFiles_Paths_AreRelativeToTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "node.yaml")
	text := "name: a\nregion: b\nroles: [home]\ndata: d\nfiles: {dir: blobs, s3: {bucket: b, access_key: a, secret_file: key}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(file)
	if err != nil || cfg.Files.Dir != filepath.Join(dir, "blobs") || cfg.Files.S3.SecretFile != filepath.Join(dir, "key") {
		t.Errorf("%+v, %v", cfg.Files, err)
	}
}
