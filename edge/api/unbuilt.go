package api

import (
	"encoding/json"
)

// Unbuilt is a field of a body that the API knows and this version does not. A request that sets it is
// refused: a client must not believe that it had an effect. A value that asks for nothing is accepted,
// because clients send whole objects.
type Unbuilt struct{}

var unbuiltField = NotBuilt.With("reason", "field")

// UnmarshalJSON implements json.Unmarshaler.
func (Unbuilt) UnmarshalJSON(raw []byte) error {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	if !nothing(v) {
		return unbuiltField
	}
	return nil
}

// nothing reports whether a value is what a field has that nobody has set.
func nothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == "" || v == "false"
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, one := range v {
			if !nothing(one) {
				return false
			}
		}
		return true
	}
	return false
}

// UnbuiltQuery refuses parameters of the query string that the API knows and this version does not.
func (c *Call) UnbuiltQuery(names ...string) error {
	for _, name := range names {
		if said := c.Query(name); said != "" && said != "false" {
			return NotBuilt.With("reason", "parameter", "name", name)
		}
	}
	return nil
}
