package fanout

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/event"
)

// encoded is a message encoded once for all its recipients. It is never changed.
type encoded struct {
	text      []byte // an event without its end `,"seq":n}`; a whole reply
	cut       int    // where a recipient's own data fields go
	empty     bool   // data has no fields before the cut
	reply     bool   // has no number and is not kept
	droppable bool   // may be left out when the socket is slow
}

// extras are the fields of data that only some recipients get.
type extras uint8

const (
	withMentions extras = 1 << iota
	withFollowers
)

// frame is a message for one socket.
type frame struct {
	enc *encoded // nil: a ping
	own extras
}

var droppable = map[string]bool{"typing": true, "status_change": true, "multiple_channels_viewed": true}

func encode(ev *event.Event) (*encoded, error) {
	b := make([]byte, 0, 512)
	b = append(b, `{"event":`...)
	b = appendString(b, ev.Name)
	b = append(b, `,"data":{`...)
	for i := range ev.Data {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendField(b, &ev.Data[i]); err != nil {
			return nil, fmt.Errorf("encode %s: %w", ev.Data[i].Key, err)
		}
	}
	e := &encoded{cut: len(b), empty: len(ev.Data) == 0, droppable: droppable[ev.Name]}
	b = append(b, `},"broadcast":{`...)
	e.text = append(appendAudience(b, &ev.Audience), '}')
	return e, nil
}

func appendField(b []byte, f *event.Field) ([]byte, error) {
	b = appendString(b, f.Key)
	b = append(b, ':')
	switch v := f.Value.(type) {
	case string:
		if !f.JSON {
			return appendString(b, v), nil
		}
	case bool:
		if !f.JSON {
			return strconv.AppendBool(b, v), nil
		}
	}
	text, err := json.Marshal(f.Value)
	if err != nil {
		return nil, err
	}
	if f.JSON {
		return appendString(b, text), nil
	}
	return append(b, text...), nil
}

func appendAudience(b []byte, a *event.Audience) []byte {
	b = append(b, `"omit_users":`...)
	if len(a.Omit) == 0 {
		b = append(b, `null`...)
	} else {
		for i, u := range a.Omit {
			b = append(b, "{,"[min(i, 1)])
			b = append(appendString(b, u.String()), `:true`...)
		}
		b = append(b, '}')
	}
	b = appendString(append(b, `,"user_id":`...), a.User.String())
	b = appendString(append(b, `,"channel_id":`...), a.Channel.String())
	b = appendString(append(b, `,"team_id":`...), a.Team.String())
	b = append(b, `,"connection_id":"","omit_connection_id":""`...)
	if a.OthersOnly {
		b = append(b, `,"contains_sanitized_data":true`...)
	}
	if a.AdminsOnly {
		b = append(b, `,"contains_sensitive_data":true`...)
	}
	return b
}

// append writes the message as one recipient gets it, with its number.
func (f frame) append(b []byte, u core.UserID, seq int64) []byte {
	if f.enc.reply {
		return append(b, f.enc.text...)
	}
	b = append(b, f.enc.text[:f.enc.cut]...)
	empty := f.enc.empty
	own := func(key string) {
		if !empty {
			b = append(b, ',')
		}
		empty = false
		b = append(b, `"`+key+`":"[\"`...)
		b = append(b, u.String()...)
		b = append(b, `\"]"`...)
	}
	if f.own&withMentions != 0 {
		own("mentions")
	}
	if f.own&withFollowers != 0 {
		own("followers")
	}
	b = append(b, f.enc.text[f.enc.cut:]...)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	return append(b, '}')
}

// size is what a frame counts for in a queue, in bytes.
func (f frame) size() int {
	if f.enc == nil {
		return 0
	}
	return len(f.enc.text) + 64
}

const hex = "0123456789abcdef"

// appendString writes a JSON string. It exists because a post's JSON is quoted once more for
// every event, and encoding/json would copy it three times. Invalid UTF-8 becomes U+FFFD.
func appendString[T ~string | ~[]byte](b []byte, s T) []byte {
	start := len(b)
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	b = append(append(b, s[from:]...), '"')
	if !utf8.Valid(b[start:]) {
		return append(b[:start], strings.ToValidUTF8(string(b[start:]), "\uFFFD")...)
	}
	return b
}
