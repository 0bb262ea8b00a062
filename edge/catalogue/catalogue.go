// Package catalogue has the texts that clients see, one file per language. The log and the nodes
// exchange only the id of a text and its arguments; the text is made here, at the edge, in the
// reader's language.
//
// Messages that the server writes into channels are made in the same way, from the type of the
// post and its props, and so are the display names of default channels.
//
// A key is the type of such a post; the name of such a channel; an error id; or, if an id has
// several reasons, the error id, a colon, and the refusal's argument "reason". {name} in a text
// stands for an argument. English has every text; texts that another language lacks are given in
// English.
package catalogue

import (
	"embed"
	"encoding/json"
	"path"
	"strconv"
	"strings"

	"github.com/nearside/nearside/core"
)

//go:embed texts/*.json
var files embed.FS

// english is the language that has every text.
const english = "en"

// languages has the texts by language code and key.
var languages = load()

func load() map[string]map[string]string {
	out := map[string]map[string]string{}
	list, err := files.ReadDir("texts")
	if err != nil {
		panic(err) // the texts are part of the program
	}
	for _, f := range list {
		raw, err := files.ReadFile("texts/" + f.Name())
		if err != nil {
			panic(err)
		}
		texts := map[string]string{}
		if err := json.Unmarshal(raw, &texts); err != nil {
			panic(f.Name() + ": " + err.Error())
		}
		out[strings.TrimSuffix(f.Name(), path.Ext(f.Name()))] = texts
	}
	return out
}

// Language is a language of the catalogue; the zero value is English.
type Language struct{ code string }

// For returns a reader's language: that of the locale in the profile, or else the preferred one
// in the client's Accept-Language, or else English.
func For(locale, accept string) Language {
	if code, ok := known(locale); ok {
		return Language{code}
	}
	best, weight := english, 0.0
	for range maxAccepted {
		var one string
		one, accept, _ = strings.Cut(accept, ",")
		tag, params, _ := strings.Cut(one, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, _ = strconv.ParseFloat(v, 64) // a malformed number counts as zero
		}
		if code, ok := known(tag); ok && q > weight {
			best, weight = code, q
		}
	}
	return Language{best}
}

// maxAccepted bounds how many languages of an Accept-Language are read.
const maxAccepted = 16

// known returns the language code of a locale such as "de-AT" or "ja", if there are texts for it.
func known(locale string) (string, bool) {
	code, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(locale)), "-")
	_, ok := languages[code]
	return code, ok
}

// Text returns the text of an error id with its arguments, or "" if there is none.
func (l Language) Text(id string, args core.Args) string {
	if reason := args["reason"]; reason != "" {
		if text := l.find(id + ":" + reason); text != "" {
			return fill(text, args)
		}
	}
	return fill(l.find(id), args)
}

// Message returns the message of a post as clients see it. Of a post that the server wrote, the
// log and the database have only type and props. Its text is made here, with the type as key. All
// readers get it in the server's language, because they share the bytes of events and pages.
func Message(p *core.Post) string {
	if p.Message != "" || !p.IsSystem() {
		return p.Message
	}
	args := core.Args{}
	for name, v := range p.Props {
		args[name], _ = v.(string)
	}
	return fill(Language{}.find(p.Type), args)
}

// ChannelName gives the display name of a new default channel, in the server's language. Its key is the
// channel's name.
func ChannelName(name string) string { return Language{}.find(name) }

func (l Language) find(key string) string {
	if text := languages[l.code][key]; text != "" {
		return text
	}
	return languages[english][key]
}

// fill inserts the arguments. Braces inside an argument are not replaced again.
func fill(text string, args map[string]string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(args[name])
		text = after
	}
}
