package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/cmd/node"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func run(args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = Main("v1.2.3", args, &o, &e)
	return code, o.String(), e.String()
}

// The help of every command is the same as in its golden file, so that a change is seen in review.
func TestHelp_EveryCommand_MatchesGolden(t *testing.T) {
	for _, command := range []string{"", "serve", "demo", "node", "status", "lag", "version",
		"files", "files status", "files verify", "files sweep", "files migrate", "cdn", "cdn stat", "cdn warm", "cdn purge", "doctor",
		"home", "home init", "home list", "home add", "home remove", "home trust", "pki", "pki status", "pki init", "pki issue", "pki admit", "pki rotate", "pki revoke", "log", "log show", "log void", "audit"} {
		t.Run("nearside "+command, func(t *testing.T) {
			args := append(strings.Fields(command), "--help")
			code, out, errOut := run(args...)
			if code != exitDone || errOut != "" {
				t.Fatalf("exit code %d, said %q", code, errOut)
			}
			file := filepath.Join("testdata", strings.Join(append([]string{"nearside"}, strings.Fields(command)...), "-")+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out); diff != "" {
				t.Errorf("help changed; if it should, run with -update (-golden +now):\n%s", diff)
			}
		})
	}
}

// Wrong use exits with 2, failure with 1, and the message says what to do.
func TestExitCode_WrongUse_IsTwo(t *testing.T) {
	t.Setenv(adminEnv, "")
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unknown := file("unknown.yaml", "name: a\nregion: b\nrolls: [home]\n")
	json := file("unknown.json", `{"name": "a", "client": {"lisen": "x"}}`)
	missing := file("missing.yaml", "name: a\nregion: b\nroles: [edge]\ndata: d\nclient: {listen: 'h:1'}\n")
	public := file("public.yaml", "name: a\nregion: b\nroles: [home]\ndata: d\nadmin: {listen: '0.0.0.0:1'}\n")
	short := file("short.yaml", "name: a\nregion: b\nroles: [home]\ndata: d\npassword: {min_length: 6}\n")
	site := file("site.yaml", "name: a\nregion: b\nroles: [home, edge]\ndata: d\nclient: {listen: 'h:1', url: ['https://a.example', 'ftp://a.example']}\n")
	away := file("away.yaml", "name: a\nregion: b\nroles: [home]\ndata: d\nclient: {url: 'https://a.example'}\n")
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"unknown command":   {[]string{"sevre"}, 2, `there is no command "sevre"; did you mean serve?`},
		"unknown flag":      {[]string{"serve", "--dta", "x"}, 2, "unknown flag: --dta"},
		"argument":          {[]string{"serve", "x"}, 2, `unexpected argument "x"`},
		"format":            {[]string{"version", "-o", "xml"}, 2, "use table or json"},
		"no config":         {[]string{"node"}, 2, "--config FILE"},
		"config not there":  {[]string{"node", "--config", filepath.Join(dir, "none")}, 1, "cannot read the configuration"},
		"unknown key":       {[]string{"node", "--config", unknown}, 2, `line 3: unknown key "rolls"`},
		"unknown key, JSON": {[]string{"node", "--config", json}, 2, `unknown key "lisen"`},
		"missing key":       {[]string{"node", "--config", missing}, 2, "home: missing"},
		"public admin":      {[]string{"node", "--config", public}, 2, "not a loopback address"},
		"password length":   {[]string{"node", "--config", short}, 2, "password.min_length: goes from 8 to 72"},
		"site, no scheme":   {[]string{"serve", "--data", dir, "--site-url", "chat.example.com"}, 2, `--site-url: "chat.example.com" is not an address`},
		"site, a path":      {[]string{"serve", "--data", dir, "--site-url", "https://a.example", "--site-url", "https://a.example/chat"}, 2, "has a path"},
		"site in a file":    {[]string{"node", "--config", site}, 2, `client.url: "ftp://a.example" is not an address`},
		"site, no edge":     {[]string{"node", "--config", away}, 2, "client.url: only a node with the role edge"},
		"unknown region":    {[]string{"demo", "--data", dir, "--regions", "virginia,atlantis"}, 2, `unknown region "atlantis"; known are amsterdam, auckland,`},
		"region twice":      {[]string{"demo", "--data", dir, "--regions", "tokyo,tokyo"}, 2, "given twice"},
		"latency":           {[]string{"demo", "--data", dir, "--latency", "fast"}, 2, "real, none, or a factor"},
		"listen":            {[]string{"demo", "--data", dir, "--listen", "here"}, 2, "HOST:PORT"},
		"nothing to ask":    {[]string{"status", "--data", filepath.Join(dir, "none")}, 1, "nearside serve --data"},
		"nobody answers":    {[]string{"lag", "--admin", "http://127.0.0.1:1"}, 1, "no node answers"},
		"version":           {[]string{"version"}, 0, ""},
		"help of a command": {[]string{"help", "demo"}, 0, ""},
		"completion":        {[]string{"completion", "bash"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := run(c.args...)
			if code != c.code || !strings.Contains(errOut, c.says) {
				t.Errorf("exit code %d, want %d; said %q, want %q in it; printed %q", code, c.code, errOut, c.says, out)
			}
		})
	}
}

// A node whose answers would be wrong is named with the reason, and the exit code is 1.
func TestStatus_UnfitNode_Fails(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"node":"edge-tokyo","state":"stuck","reason":"upgrade this node: it does not know command 99"}`))
	}))
	defer s.Close()
	code, out, errOut := run("status", "--admin", s.URL)
	if code != exitFailed || !strings.Contains(out, "stuck") || !strings.Contains(errOut, "edge-tokyo") || !strings.Contains(errOut, "command 99") {
		t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
	}
}

// The nodes of a data directory are asked by their sockets, however long the directory's name is.
func TestStatus_FindsTheSocket(t *testing.T) {
	t.Setenv(adminEnv, "")
	data := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, node.File), []byte(`{"nodes":[{"name":"home","roles":["home"],"admin_socket":"/elsewhere/admin/socket"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errOut := run("status", "--data", data); code != exitFailed || !strings.Contains(out, "home  does not answer at "+admin.SocketPath(data)) || !strings.Contains(errOut, "no node answers") {
		t.Errorf("before it runs: exit code %d\n%s\n%s", code, out, errOut)
	}
	l, err := admin.Listen(data)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"node":"home","state":"ready"}`))
	}))
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	defer s.Close()
	for _, args := range [][]string{{"--data", data}, {"--admin", admin.SocketPath(data)}} {
		if code, out, errOut := run(append([]string{"status", "-o", "json"}, args...)...); code != exitDone || !strings.Contains(out, `"admin_url": "`+admin.SocketPath(data)) {
			t.Errorf("%q: exit code %d\n%s\n%s", args, code, out, errOut)
		}
	}
}

// A node that is asked by TCP gets the token, and one that refuses it says what to do.
func TestStatus_SendsTheToken(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("abcdefghijklmnopqrstuvwxyz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(admin.WithToken("abcdefghijklmnopqrstuvwxyz", false, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"node":"home","state":"ready"}`))
	})))
	defer s.Close()
	if code, _, errOut := run("status", "--admin", s.URL, "--admin-token", token); code != exitDone {
		t.Errorf("with the token: exit code %d, %s", code, errOut)
	}
	if code, out, _ := run("status", "--admin", s.URL, "-o", "json"); code != exitFailed || !strings.Contains(out, "needs the token") {
		t.Errorf("without a token: exit code %d, %s", code, out)
	}
}

// status and lag show the status of each node, and how far it is behind the most advanced one.
func TestStatus_TwoNodes_ShowsWhoIsBehind(t *testing.T) {
	at := func(status string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/status" {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write([]byte(status))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	home := at(`{"node":"virginia-1","region":"virginia","roles":["home"],"leader":"virginia-1","position":{"epoch":1,"index":120,"digest":"00112233445566778899aabbccddeeff"},"applied_lag_ms":0,"peers":[],"state":"ready"}`)
	edge := at(`{"node":"edge-tokyo","region":"tokyo","roles":["edge"],"leader":"virginia-1","position":{"epoch":1,"index":100,"digest":"ffeeddccbbaa99887766554433221100"},"applied_lag_ms":1500,"peers":[],"state":"ready"}`)
	t.Setenv(adminEnv, home+","+edge)
	code, out, errOut := run("lag")
	if code != exitDone || errOut != "" {
		t.Fatalf("exit code %d, said %q", code, errOut)
	}
	want := `NODE        REGION    POSITION        BEHIND  LAG   STATE
virginia-1  virginia  1.120.00112233  0       0s    ready
edge-tokyo  tokyo     1.100.ffeeddcc  20      1.5s  ready
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("lag (-want +got):\n%s", diff)
	}
	_, out, _ = run("status", "-o", "json", "--admin", edge)
	var got struct {
		Nodes []map[string]any `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(got.Nodes) != 1 || got.Nodes[0]["node"] != "edge-tokyo" || got.Nodes[0]["admin_url"] != edge {
		t.Errorf("status -o json: %s", out)
	}
}
