package event

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nearside/nearside/core"
)

// Encoded is an event as one audience gets it, encoded once for all its recipients. It never changes.
type Encoded struct {
	text  []byte // without its end `,"seq":n}`
	cut   int    // where a recipient's own data fields go
	empty bool   // data has no fields before the cut
}

// Own says which additional fields of data a recipient gets.
type Own uint8

// The fields for some recipients.
const (
	WithMentions Own = 1 << iota
	WithFollowers
)

// Encode gives the form of an event that clients get: {"event":name,"data":{…},"broadcast":{…},"seq":n}.
// message gives the text of a system post; if it is nil, a post keeps its own text.
func Encode(e Event, to *Audience, message func(*core.Post) string) (*Encoded, error) {
	d := Data{b: make([]byte, 0, 1024), message: message}
	d.b = append(d.b, `{"event":`...)
	d.b = appendString(d.b, e.Name())
	d.b = append(d.b, `,"data":{`...)
	e.Write(&d, to)
	if d.err != nil {
		return nil, d.err
	}
	enc := &Encoded{cut: len(d.b), empty: d.fields == 0}
	b := append(d.b, `},"broadcast":{`...)
	enc.text = append(appendAudience(b, to), '}')
	return enc, nil
}

// Append writes the event as one recipient gets it, with its number.
func (e *Encoded) Append(b []byte, own Own, u core.UserID, seq int64) []byte {
	b = append(b, e.text[:e.cut]...)
	empty := e.empty
	field := func(key string) {
		if !empty {
			b = append(b, ',')
		}
		empty = false
		b = append(b, `"`+key+`":"[\"`...)
		b = append(b, u.String()...)
		b = append(b, `\"]"`...)
	}
	if own&WithMentions != 0 {
		field("mentions")
	}
	if own&WithFollowers != 0 {
		field("followers")
	}
	b = append(b, e.text[e.cut:]...)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	return append(b, '}')
}

// Size gives how many bytes are held.
func (e *Encoded) Size() int { return len(e.text) }

// Data writes the fields of an event's data, in wire order.
type Data struct {
	b       []byte
	fields  int
	err     error // the first
	message func(*core.Post) string
}

func (d *Data) key(k string) {
	if d.fields > 0 {
		d.b = append(d.b, ',')
	}
	d.fields++
	d.b = append(appendString(d.b, k), ':')
}

// String writes a string.
func (d *Data) String(k, v string) {
	d.key(k)
	d.b = appendString(d.b, v)
}

// Bool writes true or false.
func (d *Data) Bool(k string, v bool) {
	d.key(k)
	d.b = strconv.AppendBool(d.b, v)
}

// Int writes a number.
func (d *Data) Int(k string, v int64) {
	d.key(k)
	d.b = strconv.AppendInt(d.b, v, 10)
}

// Value writes a value as JSON.
func (d *Data) Value(k string, v any) {
	d.key(k)
	d.b = append(d.b, d.marshal(k, v)...)
}

// JSON writes a value as a string that holds JSON.
func (d *Data) JSON(k string, v any) {
	d.key(k)
	d.b = appendString(d.b, d.marshal(k, v))
}

// Post writes a post. Every event with a post uses it.
func (d *Data) Post(p *core.Post) {
	if p.Type != "" && d.message != nil {
		shown := *p
		shown.Message = d.message(p)
		p = &shown
	}
	d.JSON("post", p.Wire())
}

func (d *Data) marshal(k string, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("encode %s: %w", k, err)
	}
	return text
}

func appendAudience(b []byte, a *Audience) []byte {
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
	b = appendString(append(b, `,"connection_id":"","omit_connection_id":`...), a.Connection.String())
	if a.OthersOnly {
		b = append(b, `,"contains_sanitized_data":true`...)
	}
	if a.AdminsOnly {
		b = append(b, `,"contains_sensitive_data":true`...)
	}
	return b
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
