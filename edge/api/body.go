package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/nearside/nearside/core"
)

// MaxBodyBytes bounds a request body.
const MaxBodyBytes = 300_000

// Decode reads the request's JSON into a value. Unknown fields are ignored, because newer clients
// may send them.
func (c *Call) Decode(into any) error {
	raw, err := c.ReadBody()
	if err != nil {
		return err
	}
	return DecodeJSON(raw, into)
}

// ReadBody returns the request's body.
func (c *Call) ReadBody() ([]byte, error) {
	if c.body != nil || c.bodyErr != nil {
		return c.body, c.bodyErr
	}
	defer since(time.Now(), &c.Spent.Body)
	raw, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, MaxBodyBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		c.bodyErr = BodyTooLarge.With("reason", "max", "max", MaxBodyBytes)
	case err != nil:
		c.bodyErr = BadRequest.With("reason", "unreadable").WithCause(err)
	default:
		c.body = raw
	}
	return c.body, c.bodyErr
}

// DecodeJSON decodes one JSON value that is not null.
func DecodeJSON(raw []byte, into any) error {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
		return BadRequest.With("reason", "empty")
	case !utf8.Valid(raw):
		return BadRequest.With("reason", "utf8")
	case string(raw) == "null":
		return BadRequest.With("reason", "null")
	case hasNUL(raw):
		return BadRequest.With("reason", "nul")
	}
	err := json.Unmarshal(raw, into)
	var wrongType *json.UnmarshalTypeError
	var ours *core.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return BadRequest.With("reason", "field_type", "field", wrongType.Field, "type", wrongType.Value)
	case errors.As(err, &wrongType):
		return BadRequest.With("reason", "type", "type", wrongType.Value)
	}
	return BadRequest.With("reason", "json", "error", err)
}

// hasNUL reports whether a JSON text contains a NUL character, which PostgreSQL cannot store.
func hasNUL(raw []byte) bool {
	for rest := raw; ; {
		i := bytes.Index(rest, []byte(`\u0000`))
		if i < 0 {
			return false
		}
		slashes := 1 // an even number of backslashes is escaped backslashes, followed by plain text
		for i-slashes >= 0 && rest[i-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 1 {
			return true
		}
		rest = rest[i+len(`\u0000`):]
	}
}

// JSON encodes a value of ours.
func JSON(v any) []byte {
	if l := reflect.ValueOf(v); l.Kind() == reflect.Slice && l.IsNil() {
		return []byte("[]") // clients expect an empty list, not null
	}
	if p, ok := v.(core.Post); ok {
		v = p.Wire()
	}
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types can always be encoded
	}
	return raw
}
