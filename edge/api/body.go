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

// Decode reads the request's JSON into a value. Unknown fields are ignored, as clients of newer
// versions need.
func (c *Call) Decode(into any) error {
	raw, err := c.ReadBody()
	if err != nil {
		return err
	}
	return DecodeJSON(raw, into)
}

// ReadBody gives the request's body.
func (c *Call) ReadBody() ([]byte, error) {
	defer since(time.Now(), &c.Spent.Body)
	raw, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, MaxBodyBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, core.E(core.KindTooLarge, "The request body is larger than %d bytes.", MaxBodyBytes)
	case err != nil:
		return nil, core.E(core.KindInvalid, "The request body could not be read.").WithCause(err)
	}
	return raw, nil
}

// DecodeJSON decodes one JSON value that is not null.
func DecodeJSON(raw []byte, into any) error {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
		return core.E(core.KindInvalid, "The request has no body; it needs one in JSON.")
	case !utf8.Valid(raw):
		return core.E(core.KindInvalid, "The request body is not valid UTF-8.")
	case string(raw) == "null":
		return core.E(core.KindInvalid, "The request body is null.")
	case hasNUL(raw):
		return core.E(core.KindInvalid, "The request body holds a NUL character, which no field may.")
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
		return core.E(core.KindInvalid, "The field %q of the request body cannot be a JSON %s.", wrongType.Field, wrongType.Value)
	case errors.As(err, &wrongType):
		return core.E(core.KindInvalid, "The request body cannot be a JSON %s here.", wrongType.Value)
	}
	return core.E(core.KindInvalid, "The request body is not valid JSON: %v.", err)
}

// hasNUL reports whether a JSON text holds a NUL character: PostgreSQL stores none.
func hasNUL(raw []byte) bool {
	for rest := raw; ; {
		i := bytes.Index(rest, []byte(`\u0000`))
		if i < 0 {
			return false
		}
		slashes := 1 // an even number is that many escaped backslashes, and then plain text
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
		return []byte("[]") // clients take an empty list, not null
	}
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types always encode
	}
	return raw
}
