package files_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/files"
)

func TestTerms(t *testing.T) {
	// The syntax of the search box is parsed as users expect.
	const day = int64(24 * 60 * 60 * 1000)
	const may2 = int64(1_714_608_000_000) // 2024-05-02 in UTC
	for s, want := range map[string]files.Terms{
		"":                              {},
		"  \t\n":                        {},
		"sea  Log":                      {Words: []string{"sea", "Log"}},
		`"the log" x "open end`:         {Words: []string{"the log", "x", "open end"}},
		`-mutiny -"bad food" - --x`:     {Excluded: []string{"mutiny", "bad food", "-x"}},
		"map* 2024-05-02":               {Words: []string{"map*", "2024-05-02"}},
		"from:@Ann FROM: bob -from:eve": {From: []string{"ann", "bob"}, NotFrom: []string{"eve"}},
		"in:~deck -in:Cabin":            {In: []string{"deck"}, NotIn: []string{"cabin"}},
		"ext:.PDF -ext:exe":             {Ext: []string{"pdf"}, NotExt: []string{"exe"}},
		"on:2024-05-02":                 {After: may2, Before: may2 + day},
		"after:2024-05-02":              {After: may2 + day},
		"before:2024-5-2":               {Before: may2},
		"-after:2024-05-02":             {Before: may2 + day},
		"-before:2024-05-02":            {After: may2},
		"-on:2024-05-02":                {NotOn: true},
		"after:2024-05-01 before:2024-05-03 on:2024-05-02": {After: may2, Before: may2 + day},
		"on:tomorrow from: in:":                            {Words: []string{"on:tomorrow", "in:"}, From: nil},
		`from:"ann"`:                                       {From: []string{"ann"}},
		"http://x.example/from:y":                          {Words: []string{"http://x.example/from:y"}},
		"on:0000-00-00 on:9999-12-31":                      {Words: []string{"on:0000-00-00"}, After: 253402214400000, Before: 253402300800000},
	} {
		if s == "on:tomorrow from: in:" { // a filter's value may follow after a space, whatever it is
			want = files.Terms{Words: []string{"on:tomorrow"}, From: []string{"in:"}}
		}
		if diff := cmp.Diff(want, files.ParseTerms(s, 0)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", s, diff)
		}
	}
	if got := files.ParseTerms("on:2024-05-02", -5*60*60); got.After != may2+5*60*60*1000 || got.Before != got.After+day {
		t.Errorf("a day in New York is %+v", got)
	}
}

func FuzzTerms(f *testing.F) {
	for _, s := range []string{`from:ann "a b" -c in:x*`, `-`, `"`, `-"`, `on:2024-01-01`, "from:", `from: "`, "\u00a0", "ext:.", "after:1-1-1", `-on: "2024-2-3" x`} {
		f.Add(s, 3600)
	}
	f.Fuzz(func(t *testing.T, s string, zone int) {
		if zone < -100_000 || zone > 100_000 {
			t.Skip()
		}
		got := files.ParseTerms(s, zone)
		total := 0
		for _, list := range [][]string{got.Words, got.Excluded, got.From, got.NotFrom, got.In, got.NotIn, got.Ext, got.NotExt} {
			for _, v := range list {
				total += len(strings.ToLower(v))
				if utf8.ValidString(s) && !utf8.ValidString(v) {
					t.Fatalf("%q gave %q", s, v)
				}
			}
		}
		if slices.Contains(got.Words, "") || slices.Contains(got.Excluded, "") || utf8.ValidString(s) && total > 3*len(s) {
			t.Fatalf("%q gave %+v", s, got)
		}
		if plain := strings.Fields(s); !strings.ContainsAny(s, `":-`) && !slices.Equal(plain, got.Words) {
			t.Fatalf("%q gave %q", s, got.Words)
		}
	})
}

func TestSearch(t *testing.T) {
	// Files are found by name, text, person, channel, type and day, and only by members of their
	// channel.
	h, s := apitest.NewHome(t)
	w := apitest.NewFileWorld(t, h, s)
	deck := w.Ann.NewChannel(w.Team.ID, "deck", "O")
	w.Bob.Join(deck)
	add := func(c *apitest.Client, ch core.ChannelID, name, text string) {
		f := c.AddFile(ch, name, "text/plain", []byte(name), func(cmd *command.CreateFile) { cmd.Text = text })
		c.Attach(ch, f)
	}
	add(w.Ann, w.Channel, "secret-map.pdf", "here lies the treasure")
	add(w.Ann, deck, "log-2024.txt", "wind and weather")
	add(w.Bob, deck, "menu.pdf", "ship's biscuit, treasure of the galley")
	add(w.Bob, deck, "Menüplan Dienstag.docx", "biscuit again")
	w.Ann.AddFile(deck, "unposted-map.pdf", "text/plain", []byte("x"), nil)
	find := func(c *apitest.Client, terms string, more ...any) string {
		t.Helper()
		body := map[string]any{"terms": terms, "is_or_search": false}
		for i := 0; i < len(more); i += 2 {
			body[more[i].(string)] = more[i+1]
		}
		var out struct {
			Order     []core.FileID
			FileInfos map[core.FileID]core.File `json:"file_infos"`
		}
		resp := c.Must(200, "POST", "/files/search", body, &out)
		if resp.Header.Get("Cache-Control") != "no-cache, no-store, must-revalidate" {
			t.Errorf("Cache-Control %q", resp.Header.Get("Cache-Control"))
		}
		var names []string
		for _, id := range out.Order {
			names = append(names, out.FileInfos[id].Name)
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	for _, c := range []struct {
		who   *apitest.Client
		terms string
		want  string
		more  []any
	}{
		{w.Ann, "map", "secret-map.pdf", nil}, {w.Bob, "map", "", nil}, {w.Eve, "log", "", nil}, {w.Ann, "treasure", "menu.pdf secret-map.pdf", nil},
		{w.Bob, "treasure", "menu.pdf", nil}, {w.Ann, "treasure -galley", "secret-map.pdf", nil}, {w.Ann, `"ship's biscuit"`, "menu.pdf", nil},
		{w.Ann, "biscuit wind", "", nil}, {w.Ann, "biscuit wind", "Menüplan Dienstag.docx log-2024.txt menu.pdf", []any{"is_or_search", true}},
		{w.Ann, "ext:pdf", "menu.pdf secret-map.pdf", nil}, {w.Ann, "ext:pdf -from:bob", "secret-map.pdf", nil}, {w.Ann, "from:bob ext:pdf", "menu.pdf", nil},
		{w.Ann, "in:cabin", "secret-map.pdf", nil}, {w.Bob, "in:cabin", "", nil}, {w.Ann, "in:deck -ext:pdf", "Menüplan Dienstag.docx log-2024.txt", nil},
		{w.Ann, "in:" + w.Channel.String(), "secret-map.pdf", nil}, {w.Ann, "from:nosuchperson", "", nil}, {w.Ann, "in:nosuchplace map", "", nil},
		{w.Ann, "menü*", "Menüplan Dienstag.docx menu.pdf", nil}, {w.Ann, "MENUP*", "Menüplan Dienstag.docx", nil}, {w.Ann, "after:2020-01-01 log", "log-2024.txt", nil}, {w.Ann, "before:2020-01-01", "", nil},
		{w.Ann, "' | & ! <-> :* \\", "", nil}, {w.Ann, "log", "", []any{"page", 1}}, {w.Ann, "ext:pdf in:deck", "menu.pdf", []any{"per_page", 1}},
	} {
		if got := find(c.who, c.terms, c.more...); got != c.want {
			t.Errorf("%s finds %q by %q, not %q", c.who.Me.Username, got, c.terms, c.want)
		}
	}
	w.Ann.Must(200, "DELETE", "/channels/"+deck.String(), nil, nil)
	if got := find(w.Ann, "log"); got != "" {
		t.Errorf("in an archived channel %q is found", got)
	}
	if got := find(w.Ann, "log in:deck", "include_deleted_channels", true); got != "log-2024.txt" {
		t.Errorf("in archived channels too %q is found", got)
	}
}

func TestSearch_Form(t *testing.T) {
	// A search is read from JSON and from both kinds of forms; a search without words, with too
	// many, or in a team of which the caller is no member is refused.
	h, s := apitest.NewHome(t)
	w := apitest.NewFileWorld(t, h, s)
	w.Ann.Attach(w.Channel, w.Ann.AddFile(w.Channel, "map.pdf", "application/pdf", []byte("x"), nil))
	form := "--edge\r\nContent-Disposition: form-data; name=\"terms\"\r\n\r\nmap\r\n--edge\r\nContent-Disposition: form-data; name=\"is_or_search\"\r\n\r\ntrue\r\n--edge--\r\n"
	for _, path := range []string{"/files/search", "/teams/" + w.Team.ID.String() + "/files/search"} {
		var out struct{ Order []core.FileID }
		for _, body := range []string{form, `{"terms":"map"}`} {
			if w.Ann.Must(200, "POST", path, body, &out); len(out.Order) != 1 {
				t.Errorf("%s with %q finds %d", path, body, len(out.Order))
			}
		}
		invalid := "api.context.invalid_body_param.app_error"
		for _, body := range []string{
			`{}`, `{"terms":""}`, `{"terms":" "}`, `{"terms":"` + strings.Repeat("x", 5000) + `"}`, `{"terms":"x","time_zone_offset":9999999}`, `{"terms":"` + strings.Repeat("x ", 2000) + `"}`,
			"--edge\r\nbroken", "--edge\r\nContent-Disposition: form-data; name=\"terms\"\r\n\r\na\x00b\r\n--edge--\r\n",
		} {
			w.Ann.Fails(400, invalid, "POST", path, body)
		}
		w.Ann.Fails(413, "api.context.request_body_too_large.app_error", "POST", path, "--edge\r\nContent-Disposition: form-data; name=\"terms\"\r\n\r\n"+strings.Repeat("x", 400_000)+"\r\n--edge--\r\n")
		w.Ann.Fails(400, "api.file.search_files.invalid_params.app_error", "POST", path, `{"terms":"-on:2024-01-01"}`)
	}
	w.Eve.Fails(403, "api.context.permissions.app_error", "POST", "/teams/"+w.Team.ID.String()+"/files/search", `{"terms":"map"}`)
}

func TestSearch_MoreThanAFew_WaitAndHoldNobodyUp(t *testing.T) {
	// A search waits while others run; other reads do not.
	h, s := apitest.NewHome(t)
	w := apitest.NewFileWorld(t, h, s)
	f := w.Ann.AddFile(w.Channel, "map.txt", "text/plain", []byte("x"), nil)
	w.Ann.Attach(w.Channel, f)
	done := service(s).Searching()
	if resp, _ := w.Ann.Fetch("GET", "/files/"+f.ID.String()+"/info"); resp.StatusCode != 200 {
		t.Errorf("another read: %d", resp.StatusCode)
	}
	found := make(chan int, 1)
	go func() { found <- w.Ann.Do("POST", "/files/search", map[string]any{"terms": "map"}, nil).StatusCode }()
	select {
	case got := <-found:
		t.Errorf("it did not wait: %d", got)
	case <-time.After(50 * time.Millisecond):
	}
	done()
	if got := <-found; got != 200 {
		t.Errorf("after the others: %d", got)
	}
}
