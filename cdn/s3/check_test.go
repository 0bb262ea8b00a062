package s3

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/cdntest"
	"github.com/nearside/nearside/cdn/s3/s3test"
	"github.com/nearside/nearside/core"
)

// A correct bucket passes the check, and the check leaves nothing in it.
func TestCheck_GoodBucket_Passes(t *testing.T) {
	srv := s3test.Start(t)
	for name, set := range map[string]func(*Config){
		"plain":       func(*Config) {},
		"prefix":      func(c *Config) { c.Prefix = "files/" },
		"region":      func(c *Config) { c.Region = s3test.Region },
		"secret file": func(c *Config) { c.SecretKey, c.SecretFile = "", write(t, c.SecretKey+"\n") },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := to(t, srv)
			set(&cfg)
			if err := open(t, cfg).Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			for obj := range srv.Client(t).ListObjectsIter(t.Context(), cfg.Bucket, minio.ListObjectsOptions{Recursive: true}) {
				t.Errorf("the check left %s, %v", obj.Key, obj.Err)
			}
			if n := unfinished(t, srv, cfg.Bucket); n != 0 {
				t.Errorf("the check left %d uploads", n)
			}
		})
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Whatever is wrong with the bucket, the endpoint or the keys, the check says what, names the
// setting to change, and never prints a secret.
func TestCheck_Faults_AreNamed(t *testing.T) {
	srv := s3test.Start(t)
	own := httptest.NewUnstartedServer(http.NotFoundHandler())
	own.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // the client hangs up: not an error worth printing
	own.StartTLS()
	t.Cleanup(own.Close)
	for name, c := range map[string]struct {
		set  func(*Config)
		want []string
	}{
		"no bucket":      {func(c *Config) { c.Bucket = "nowhere" }, []string{"no bucket", "nowhere", "files.s3.bucket"}},
		"unknown key":    {func(c *Config) { c.AccessKey = "stranger" }, []string{"files.s3.access_key"}},
		"wrong secret":   {func(c *Config) { c.SecretKey = "not-this-one" }, []string{"files.s3.secret_key"}},
		"no secret file": {func(c *Config) { c.SecretKey, c.SecretFile = "", "/nowhere/key" }, []string{"files.s3.secret_file"}},
		"empty secret":   {func(c *Config) { c.SecretKey, c.SecretFile = "", write(t, " \n") }, []string{"files.s3.secret_file"}},
		"other region":   {func(c *Config) { c.Region = "mars-1" }, []string{"files.s3.region", s3test.Region}},
		"nobody there":   {func(c *Config) { c.Endpoint = "http://127.0.0.1:1" }, []string{"cannot be reached", "files.s3.endpoint"}},
		"no such host":   {func(c *Config) { c.Endpoint = "http://nowhere.invalid" }, []string{"cannot be reached", "files.s3.endpoint"}},
		"https to http":  {func(c *Config) { c.Endpoint = strings.Replace(c.Endpoint, "http:", "https:", 1) }, []string{"http://", "files.s3.endpoint"}},
		"own authority":  {func(c *Config) { c.Endpoint = own.URL }, []string{"certificate", "files.s3.endpoint"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := to(t, srv)
			c.set(&cfg)
			err := open(t, cfg).Check(t.Context())
			wantFault(t, err, c.want...)
			kind := core.KindInvalid // a setting must be changed
			if name == "nobody there" {
				kind = core.KindUnavailable // may disappear by itself
			}
			wantKind(t, "check", err, kind)
			if err != nil && cfg.SecretKey != "" && strings.Contains(err.Error(), cfg.SecretKey) {
				t.Errorf("the secret key is in %q", err)
			}
		})
	}
}

func wantFault(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("the check passes")
	}
	for _, word := range words {
		if said := core.AsError(err).Message; !strings.Contains(said, word) {
			t.Errorf("check says %q, want it to name %s", said, word)
		}
	}
}

// If the keys lack a permission, the check names it. It leaves nothing except what it may not
// delete.
func TestCheck_MissingPermission_IsNamed(t *testing.T) {
	srv := s3test.Start(t)
	all := []string{"s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListBucket", "s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads"}
	for _, missing := range append([]string{""}, all...) {
		t.Run("without "+missing, func(t *testing.T) {
			cfg := to(t, srv)
			cfg.Region = s3test.Region
			var grant []string
			for _, a := range all {
				if a != missing {
					grant = append(grant, a)
				}
			}
			actions, err := json.Marshal(grant)
			if err != nil {
				t.Fatal(err)
			}
			cfg.AccessKey, cfg.SecretKey = srv.User(t, cfg.Bucket, fmt.Sprintf(
				`{"Version":"2012-10-17","Statement":[%s,%s]}`, statement(cfg.Bucket, of(actions, "Bucket")), statement(cfg.Bucket+"/*", of(actions, ""))))
			err = open(t, cfg).Check(t.Context())
			if missing == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantFault(t, err, missing, cfg.Bucket)
		})
	}
}

// of returns the actions that apply to a bucket, or those that apply to objects.
func of(actions []byte, what string) string {
	var all, some []string
	_ = json.Unmarshal(actions, &all) // it was encoded above
	for _, a := range all {
		if strings.Contains(a, "Bucket") == (what != "") {
			some = append(some, a)
		}
	}
	b, _ := json.Marshal(some)
	return string(b)
}

func statement(resource, actions string) string {
	return fmt.Sprintf(`{"Effect":"Allow","Principal":{"AWS":["PRINCIPAL"]},"Action":%s,"Resource":"arn:aws:s3:::%s"}`, actions, resource)
}

// If the caller's context ends, the check ends with core.KindCanceled.
func TestCheck_Canceled_SaysSo(t *testing.T) {
	s := open(t, to(t, s3test.Start(t)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantKind(t, "check", s.Check(ctx), core.KindCanceled)
}

// Configurations that cannot work are refused at once, with the name of the setting. Valid ones
// are accepted without using the network or reading a file.
func TestNew_Configuration(t *testing.T) {
	good := Config{Bucket: "bucket", AccessKey: "a", SecretFile: "/nowhere"}
	for word, set := range map[string]func(*Config){
		"files.s3.bucket":       func(c *Config) { c.Bucket = "" },
		"files.s3.endpoint":     func(c *Config) { c.Endpoint = "ftp://host" },
		"want https://HOST":     func(c *Config) { c.Endpoint = "https://host/path" },
		"public_endpoint":       func(c *Config) { c.PublicEndpoint = "https://user:pw@host" },
		"files.s3.prefix":       func(c *Config) { c.Prefix = "../up" },
		"is not a relative":     func(c *Config) { c.Prefix = "/abs" },
		"path_style":            func(c *Config) { c.PathStyle = "none" },
		"secret_key and secret": func(c *Config) { c.SecretKey = "b" },
		"iam and keys":          func(c *Config) { c.IAM = true },
		"files.s3.access_key":   func(c *Config) { c.AccessKey = "" },
		"files.s3.secret_key":   func(c *Config) { c.SecretFile = "" },
		"files.s3.sse: ":        func(c *Config) { c.SSE = "rot13" },
		"kms:KEYID":             func(c *Config) { c.SSE = "kms:" },
		"sse_key_file":          func(c *Config) { c.SSE = "c" },
		"https endpoint":        func(c *Config) { c.SSE, c.SSEKeyFile, c.Endpoint = "c", "/nowhere", "http://host" },
		"5 MiB":                 func(c *Config) { c.PartBytes = 100 },
		"at least one part":     func(c *Config) { c.MaxBufferBytes = 100 },
		"time limit":            func(c *Config) { c.StallTimeout = -1 },
	} {
		cfg := good
		set(&cfg)
		_, err := New(cfg)
		if wantKind(t, word, err, core.KindInvalid); err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	for _, set := range []func(*Config){
		func(*Config) {},
		func(c *Config) { c.Endpoint = "host:9000" },
		func(c *Config) { c.SSE, c.SSEKeyFile = "c", "/nowhere" },
		func(c *Config) { c.AccessKey, c.SecretFile, c.IAM = "", "", true },
	} {
		cfg := good
		set(&cfg)
		open(t, cfg)
	}
}

// Keys can come from the environment.
func TestNew_KeysFromEnvironment(t *testing.T) {
	srv := s3test.Start(t)
	for _, iam := range []bool{false, true} {
		cfg := to(t, srv)
		t.Setenv("AWS_ACCESS_KEY_ID", cfg.AccessKey)
		t.Setenv("AWS_SECRET_ACCESS_KEY", cfg.SecretKey)
		cfg.AccessKey, cfg.SecretKey, cfg.IAM = "", "", iam
		if err := open(t, cfg).Check(t.Context()); err != nil {
			t.Errorf("iam %v: %v", iam, err)
		}
	}
}

// The machine's role gives keys that work; if there are none, the check says where it looked.
func TestNew_KeysFromTheRole(t *testing.T) {
	srv := s3test.Start(t)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	given := true
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !given {
			http.NotFound(w, nil)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"AccessKeyId": srv.AccessKey, "SecretAccessKey": srv.SecretKey, "Expiration": time.Now().Add(time.Hour),
		})
	}))
	t.Cleanup(role.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL)
	cfg := to(t, srv)
	cfg.AccessKey, cfg.SecretKey, cfg.IAM = "", "", true
	if err := open(t, cfg).Check(t.Context()); err != nil {
		t.Error(err)
	}
	given = false
	s := open(t, cfg)
	wantFault(t, s.Check(t.Context()), "machine's role", "files.s3.iam")
	_, err := s.Stat(t.Context(), cdn.Digest{})
	wantKind(t, "stat", err, core.KindUnavailable)
}

// If the secret key in its file changes, the new one is used within a minute.
func TestSecretFile_Changed_IsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := write(t, "old\n")
		keys := credentials.New(&secretFile{access: "a", path: path})
		want := func(secret string) {
			t.Helper()
			if v, err := keys.GetWithContext(nil); err != nil || v.SecretAccessKey != secret {
				t.Errorf("got %q, %v, want %q", v.SecretAccessKey, err, secret)
			}
		}
		want("old")
		if err := os.WriteFile(path, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		want("old")
		time.Sleep(rereadAfter + time.Second)
		want("new")
	})
}

// Every request that needs encryption headers has them.
func TestSSE_Headers(t *testing.T) {
	const (
		kind, key, own = "X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "X-Amz-Server-Side-Encryption-Customer-Key"
	)
	var seen []*http.Request
	store := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen = append(seen, r)
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		if r.URL.Query().Has("uploads") {
			_, _ = io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>`)
		} else if r.Method == http.MethodPost {
			_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><Bucket>bucket</Bucket></CompleteMultipartUploadResult>`)
		}
	}))
	t.Cleanup(store.Close)
	for sse, want := range map[string]map[string]bool{ // request: whether it has the headers
		"s3":       {"small " + kind: true, "begin " + kind: true, "part " + kind: false, "stat " + kind: false},
		"kms:ring": {"small " + key: true, "begin " + key: true, "part " + key: false, "stat " + key: false},
		"c":        {"small " + own: true, "begin " + own: true, "part " + own: true, "complete " + own: true, "stat " + own: true, "get " + own: true},
		"none":     {"small " + kind: false, "begin " + kind: false, "part " + own: false},
	} {
		t.Run(sse, func(t *testing.T) {
			cfg := Config{Endpoint: store.URL, Bucket: "bucket", Region: s3test.Region, AccessKey: "a", SecretKey: "b", SSE: sse, PartBytes: minPartBytes}
			if sse == "c" {
				cfg.SSEKeyFile = write(t, strings.Repeat("0f", 32))
			}
			s := open(t, cfg)
			s.transport.TLSClientConfig = store.Client().Transport.(*http.Transport).TLSClientConfig
			seen = nil
			d, _ := put(t, s, 1, 10)
			put(t, s, 2, minPartBytes+1)
			if _, err := s.Stat(t.Context(), d); err != nil {
				t.Error(err)
			}
			if blob, err := s.Get(t.Context(), d, cdn.Whole); err != nil {
				t.Error(err)
			} else {
				_ = blob.Close()
			}
			if len(seen) != 7 {
				t.Fatalf("%d requests, want 7", len(seen))
			}
			for i, name := range []string{"small", "begin", "part", "part", "complete", "stat", "get"} {
				for _, header := range []string{kind, key, own} {
					if has, known := want[name+" "+header]; known && has != (seen[i].Header.Get(header) != "") {
						t.Errorf("%s: %s is %q, want it: %v", name, header, seen[i].Header.Get(header), has)
					}
				}
			}
		})
	}
}

// A key file of the wrong length is reported as such.
func TestSSE_BadKeyFile_IsNamed(t *testing.T) {
	s := open(t, Config{Bucket: "bucket", Region: s3test.Region, AccessKey: "a", SecretKey: "b", SSE: "c", SSEKeyFile: write(t, "short"), MaxRetries: -1})
	wantFault(t, s.Check(t.Context()), "files.s3.sse_key_file")
}

// A signed URL gives the blob to everyone who has it, with the requested type and name; a changed
// URL gives nothing.
func TestSignedURL_GivesTheBlob(t *testing.T) {
	srv := s3test.Start(t)
	s := open(t, to(t, srv))
	d, b := put(t, s, 1, 1000)
	const disposition = `attachment; filename="a b.txt"; filename*=UTF-8''%C3%A4.txt`
	signed, err := s.SignedURL(t.Context(), d, "text/plain; charset=utf-8", disposition, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	code, header, got := fetch(t, signed)
	if code != http.StatusOK || got != string(b) || header.Get("Content-Type") != "text/plain; charset=utf-8" || header.Get("Content-Disposition") != disposition {
		t.Errorf("%d with %d bytes, %v", code, len(got), header)
	}
	for _, bad := range []string{strings.Replace(signed, "text%2Fplain", "text%2Fhtml", 1), strings.Replace(signed, "X-Amz-Expires=60", "X-Amz-Expires=600", 1)} {
		if code, _, _ := fetch(t, bad); bad == signed || code != http.StatusForbidden {
			t.Errorf("changed: %d, want forbidden", code)
		}
	}
	for _, valid := range []time.Duration{0, 8 * 24 * time.Hour} {
		_, err := s.SignedURL(t.Context(), d, "", "", valid)
		wantKind(t, "sign", err, core.KindInvalid)
	}
}

func fetch(t *testing.T, address string) (int, http.Header, string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// A signed URL names the public endpoint; there is none for objects that are encrypted with our
// key.
func TestSignedURL_PublicEndpoint(t *testing.T) {
	cfg := to(t, s3test.Start(t))
	cfg.PublicEndpoint = "https://files.example.com"
	d, _ := cdntest.Content(1, 1)
	signed, err := open(t, cfg).SignedURL(t.Context(), d, "", "", time.Minute)
	if err != nil || !strings.HasPrefix(signed, "https://files.example.com/"+cfg.Bucket+"/") || !strings.Contains(signed, s3test.Region) {
		t.Errorf("%s, %v", signed, err)
	}
	cfg.Endpoint, cfg.SSE, cfg.SSEKeyFile = "", "c", "/nowhere"
	_, err = open(t, cfg).SignedURL(t.Context(), d, "", "", time.Minute)
	wantKind(t, "sign", err, core.KindNotBuilt)
}
