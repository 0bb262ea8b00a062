package s3

import (
	"cmp"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"github.com/nearside/nearside/core"
)

const (
	roleTimeout = 5 * time.Second // time for the machine to return its role's keys
	rereadAfter = time.Minute
)

// credentialsOf returns the source of the keys. It reads nothing yet.
func credentialsOf(cfg Config) (*credentials.Credentials, error) {
	if cfg.IAM {
		return credentials.New(role{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{},
			&credentials.IAM{Client: &http.Client{Timeout: roleTimeout}, Region: cfg.Region},
		}), nil
	}
	access := cmp.Or(cfg.AccessKey, os.Getenv("AWS_ACCESS_KEY_ID"))
	if access == "" {
		return nil, core.E(core.KindInvalid, "%saccess_key: missing; set it with secret_key or secret_file, or AWS_ACCESS_KEY_ID, or iam", setting)
	}
	if cfg.SecretFile != "" {
		return credentials.New(&secretFile{access: access, path: cfg.SecretFile}), nil
	}
	secret, token := cfg.SecretKey, ""
	if secret == "" {
		secret, token = os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")
	}
	if secret == "" {
		return nil, core.E(core.KindInvalid, "%ssecret_key: missing; set it, secret_file, or AWS_SECRET_ACCESS_KEY", setting)
	}
	return credentials.NewStaticV4(access, secret, token), nil
}

// role tries several providers in turn. Unlike the library's chain it ends with an error: the
// chain would continue without keys, and the store would answer a misleading "access denied".
type role []credentials.Provider

// RetrieveWithCredContext implements credentials.Provider.
func (r role) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	var last error
	for _, p := range r {
		v, err := p.RetrieveWithCredContext(cc)
		if err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "" {
			return v, nil
		}
		last = cmp.Or(err, last)
	}
	return credentials.Value{}, core.E(core.KindUnavailable,
		"no keys for the object store in the environment, in ~/.aws/credentials or from the machine's role; see %siam", setting).WithCause(last)
}

// Retrieve implements credentials.Provider.
func (r role) Retrieve() (credentials.Value, error) { return r.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider.
func (r role) IsExpired() bool {
	for _, p := range r {
		if !p.IsExpired() {
			return false
		}
	}
	return true
}

// secretFile reads the secret key from a file, and again every rereadAfter.
type secretFile struct {
	access, path string
	readAt       time.Time // guarded by the lock of credentials.Credentials
}

// RetrieveWithCredContext implements credentials.Provider.
func (f *secretFile) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	b, err := os.ReadFile(f.path)
	secret := strings.TrimSpace(string(b))
	if err != nil || secret == "" {
		return credentials.Value{}, badFile("secret_file", "no secret key", err)
	}
	f.readAt = time.Now()
	return credentials.Value{AccessKeyID: f.access, SecretAccessKey: secret, SignerType: credentials.SignatureV4}, nil
}

// Retrieve implements credentials.Provider.
func (f *secretFile) Retrieve() (credentials.Value, error) { return f.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider.
func (f *secretFile) IsExpired() bool { return time.Since(f.readAt) > rereadAfter }

// encryption is how the store encrypts objects. A key of our own (SSE-C) is sent with every
// request for an object; the other kinds only with requests that create one.
type encryption struct {
	always encrypt.ServerSide                 // nil: the bucket's default
	key    func() (encrypt.ServerSide, error) // our own key; nil if there is none
}

func encryptionOf(cfg Config, secure bool) (e encryption, err error) {
	kind, id, _ := strings.Cut(cfg.SSE, ":")
	switch {
	case cfg.SSE == "" || cfg.SSE == "none":
	case cfg.SSE == "s3":
		e.always = encrypt.NewSSE()
	case kind == "kms" && id != "":
		e.always, err = encrypt.NewSSEKMS(id, nil)
	case cfg.SSE == "c" && !secure:
		return e, core.E(core.KindInvalid, "%ssse: c sends the key with every request and needs an https endpoint", setting)
	case cfg.SSE == "c":
		e.key = onceGood(func() (encrypt.ServerSide, error) { return readKey(cfg.SSEKeyFile) })
	default:
		return e, core.E(core.KindInvalid, "%ssse: %q is unknown; use none, s3, kms:KEYID or c", setting, cfg.SSE)
	}
	return e, err
}

// createOptions returns the encryption headers of a request that creates an object.
func (e encryption) createOptions() (encrypt.ServerSide, error) {
	if e.key != nil {
		return e.key()
	}
	return e.always, nil
}

// accessOptions returns the encryption headers of every other request for an object.
func (e encryption) accessOptions() (encrypt.ServerSide, error) {
	if e.key != nil {
		return e.key()
	}
	return nil, nil
}

func readKey(path string) (encrypt.ServerSide, error) {
	b, err := os.ReadFile(path)
	if text := strings.TrimSpace(string(b)); err == nil && len(text) == 64 {
		b, err = hex.DecodeString(text)
	}
	if err != nil || len(b) != 32 {
		return nil, badFile("sse_key_file", "no key of 32 bytes", err)
	}
	return encrypt.NewSSEC(b)
}

// badFile is the error of a request for a blob while a key file is not usable.
func badFile(key, what string, err error) error {
	return core.E(core.KindUnavailable, "%s%s: the file has %s", setting, key, what).WithCause(errors.Join(errFile, err))
}

var errFile = errors.New("a configured key file is not usable")

// onceGood calls f until it succeeds, and then returns that result.
func onceGood[T any](f func() (T, error)) func() (T, error) {
	var mu sync.Mutex // guards got
	var got *T
	return func() (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if got != nil {
			return *got, nil
		}
		v, err := f()
		if err == nil {
			got = &v
		}
		return v, err
	}
}
