package core

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Some settings are JSON that clients parse at every start, or for every profile that they show. A text
// that a client cannot parse would leave its user, or everybody who sees the profile, with an empty page.
// So it is refused before it is stored.

const (
	categoryTheme        = "theme"
	categoryRecentEmojis = "recent_emojis"
	categoryCustomStatus = "custom_status"
	recentStatuses       = "recent_custom_statuses"
	propCustomStatus     = "customStatus"
	maxStatusText        = 100 // runes
)

// validValue reports whether clients can read a preference's value.
func (p *Preference) validValue() bool {
	switch {
	case p.Category == categoryTheme:
		return validTheme(p.Value)
	case p.Category == categoryRecentEmojis:
		var list []any
		return p.Value == "" || parses(p.Value, &list)
	case p.Category == categoryCustomStatus && p.Name == recentStatuses:
		return p.Value == "" || validStatuses(p.Value)
	}
	return true
}

// themeWords are the parts of a theme that are not colours.
var themeWords = map[string]bool{"type": true, "name": true, "image": true, "codeTheme": true}

// validTheme reports whether a value is an object of colours. Clients write the colours into a style sheet.
func validTheme(value string) bool {
	var theme map[string]string
	if !parses(value, &theme) {
		return false
	}
	for part, v := range theme {
		if themeWords[part] {
			if !plain(v) || strings.ContainsAny(v, `;{}"'()\<>`) {
				return false
			}
		} else if !validColour(v) {
			return false
		}
	}
	return true
}

// validColour reports whether a text is a colour as #rgb or #rrggbb.
func validColour(s string) bool {
	return (len(s) == 4 || len(s) == 7) && s[0] == '#' && only(s[1:], digits+"abcdefABCDEF")
}

// customStatus is what a user says about themselves for a while.
type customStatus struct {
	Emoji     string `json:"emoji"`
	Text      string `json:"text"`
	Duration  string `json:"duration"`
	ExpiresAt string `json:"expires_at"`
}

func (s customStatus) valid() bool {
	if s.ExpiresAt != "" {
		if _, err := time.Parse(time.RFC3339, s.ExpiresAt); err != nil {
			return false
		}
	}
	return (s.Emoji == "" || ValidEmojiName(s.Emoji)) && optionalName(s.Text) && utf8.RuneCountInString(s.Text) <= maxStatusText &&
		only(s.Duration, lowerLetters+"_")
}

// validStatus reports whether a text is one custom status.
func validStatus(value string) bool {
	var s customStatus
	return parses(value, &s) && s.valid()
}

// validStatuses reports whether a text is a list of them.
func validStatuses(value string) bool {
	var list []customStatus
	if !parses(value, &list) {
		return false
	}
	for _, s := range list {
		if !s.valid() {
			return false
		}
	}
	return true
}

// parses reports whether a text is JSON of a type. null is not: it leaves a client with no object at all.
func parses(text string, into any) bool {
	var is any
	return json.Unmarshal([]byte(text), &is) == nil && !hasNull(is) && json.Unmarshal([]byte(text), into) == nil
}

// hasNull reports whether a value, or one in it, is null: encoding/json would take it for the zero value.
func hasNull(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return slices.ContainsFunc(v, hasNull)
	case map[string]any:
		for _, one := range v {
			if hasNull(one) {
				return true
			}
		}
	}
	return false
}

// validTimezone reports whether a user's time zone setting can be read.
func validTimezone(zone map[string]string) bool {
	for _, name := range [...]string{"automaticTimezone", "manualTimezone"} {
		if s := zone[name]; s != "" && !validZone(s) {
			return false
		}
	}
	switch zone["useAutomaticTimezone"] {
	case "", "true", "false":
		return true
	}
	return false
}

// validProps reports whether clients can read those props of a post that they parse: attachments, and the
// channels that a message names.
func validProps(props map[string]any) bool {
	for _, a := range listIn(props, "attachments") {
		if !validAttachment(a) {
			return false
		}
	}
	names, ok := props["channel_mentions"].(map[string]any)
	if props["channel_mentions"] != nil && !ok {
		return false
	}
	for _, ch := range names {
		if fields, ok := ch.(map[string]any); !ok || !allTexts(fields, "display_name", "team_name", "id") {
			return false
		}
	}
	return true
}

// unreadable is the only element of a list that is none.
var unreadable = []any{nil}

// listIn gives a list among named values: empty if it is not there.
func listIn(values map[string]any, name string) []any {
	list, ok := values[name].([]any)
	if values[name] != nil && !ok {
		return unreadable
	}
	return list
}

func validAttachment(a any) bool {
	fields, ok := a.(map[string]any)
	if !ok || !allTexts(fields, "fallback", "color", "pretext", "author_name", "author_link", "author_icon", "title", "title_link", "text",
		"image_url", "thumb_url", "footer", "footer_icon") {
		return false
	}
	for _, name := range [...]string{"fields", "actions"} {
		for _, one := range listIn(fields, name) {
			if _, ok := one.(map[string]any); !ok {
				return false
			}
		}
	}
	for _, name := range [...]string{"author_link", "author_icon", "title_link", "image_url", "thumb_url", "footer_icon"} {
		if link, _ := fields[name].(string); strings.HasPrefix(strings.ToLower(strings.TrimSpace(link)), "javascript:") {
			return false
		}
	}
	return true
}

// allTexts reports whether named values are texts, or not there.
func allTexts(values map[string]any, names ...string) bool {
	for _, name := range names {
		if _, ok := values[name].(string); values[name] != nil && !ok {
			return false
		}
	}
	return true
}
