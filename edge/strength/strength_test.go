package strength

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nearside/nearside/core"
)

var list = flag.String("make", "", "make common.bin from a `file` of passwords, one a line")

func TestCommon(t *testing.T) {
	if *list != "" {
		raw, err := os.ReadFile(*list)
		if err != nil {
			t.Fatal(err)
		}
		var all [][]byte
		for p := range strings.FieldsSeq(strings.ToLower(string(raw))) {
			sum := sha256.Sum256([]byte(p))
			all = append(all, sum[:prefixBytes])
		}
		slices.SortFunc(all, bytes.Compare)
		all = slices.CompactFunc(all, bytes.Equal)
		if err := os.WriteFile("common.bin", bytes.Join(all, nil), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if n := len(common) / prefixBytes; n < 3000 || len(common)%prefixBytes != 0 {
		t.Errorf("%d passwords in %d bytes", n, len(common))
	}
	for i := prefixBytes; i < len(common); i += prefixBytes {
		if bytes.Compare(common[i-prefixBytes:i], common[i:i+prefixBytes]) >= 0 {
			t.Fatalf("password %d is out of order", i/prefixBytes)
		}
	}
}

func TestRules_Check(t *testing.T) {
	ann := core.User{Username: "annabella", Email: "anna.bella@example.com"}
	for password, want := range map[string]string{
		"correct horse": "", "pass-word-1": "", "Tr0ub4dor&3": "", "ピアノを弾く": "", "annabella!": "", "12345670x": "", "abcdefgi": "",
		"": "model.user.is_valid.pwd_min_length.app_error", "seven77": "model.user.is_valid.pwd_min_length.app_error",
		strings.Repeat("long ", 15): "model.user.is_valid.pwd_max_length.app_error",
		"password":                  "model.user.is_valid.pwd.app_error", "PassWord": "model.user.is_valid.pwd.app_error",
		"password1": "model.user.is_valid.pwd.app_error", "iloveyou1": "model.user.is_valid.pwd.app_error", "qwertyuiop": "model.user.is_valid.pwd.app_error",
		"12345678": "model.user.is_valid.pwd.app_error", "zyxwvutsrq": "model.user.is_valid.pwd.app_error", "••••••••": "model.user.is_valid.pwd.app_error",
		"Annabella": "model.user.is_valid.pwd.app_error", "anna.bella": "model.user.is_valid.pwd.app_error", "anna.bella@example.com": "model.user.is_valid.pwd.app_error",
	} {
		err := Rules{}.Check(password, ann)
		if got := core.AsError(err); (err == nil) != (want == "") || err != nil && got.ID != want {
			t.Errorf("%q: %v, want %q", password, err, want)
		}
	}
	long := Rules{MinBytes: 15}
	if err := long.Check("correct horse", ann); core.AsError(err).ID != "model.user.is_valid.pwd_min_length.app_error" || long.Check("correct horse 1", ann) != nil {
		t.Errorf("with at least 15 bytes: %v", err)
	}
	if err := (Rules{MinBytes: 1}).Check("short", ann); err == nil {
		t.Error("a rule makes passwords shorter than any server allows")
	}
}
