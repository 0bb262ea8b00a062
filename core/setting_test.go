package core

import (
	"encoding/json"
	"testing"
)

// Props of a post that clients parse are refused if they cannot be parsed; those of integrations' own pass.
func TestPost_Props(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true, `{"mine":{"a":[1,null]}}`: true, `{"attachments":null}`: true, `{"attachments":[]}`: true,
		`{"attachments":[{"color":"#fff","title":"x","title_link":"https://x.example","fields":[{"title":"a","value":1,"short":true}],"actions":[{"id":"a"}]}]}`: true,
		`{"channel_mentions":{"town":{"display_name":"Town","team_name":"crew"}}}`:                                                                               true,
		`{"attachments":{}}`: false, `{"attachments":"x"}`: false, `{"attachments":[null]}`: false, `{"attachments":["x"]}`: false,
		`{"attachments":[{"title":5}]}`: false, `{"attachments":[{"text":{}}]}`: false, `{"attachments":[{"fields":{}}]}`: false, `{"attachments":[{"fields":[null]}]}`: false,
		`{"attachments":[{"actions":[1]}]}`: false, `{"attachments":[{"title_link":" JavaScript:alert(1)"}]}`: false,
		`{"channel_mentions":[]}`: false, `{"channel_mentions":{"town":"x"}}`: false, `{"channel_mentions":{"town":{"display_name":{}}}}`: false,
	} {
		var p Post
		if err := json.Unmarshal([]byte(text), &p.Props); err != nil {
			t.Fatal(err)
		}
		if err := p.Check(); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
