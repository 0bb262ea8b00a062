package apply

import (
	"math"
	"reflect"
	"strings"

	"github.com/nearside/nearside/core/command"
)

// storable reports whether a command holds only what PostgreSQL stores and gives back
// unchanged: text without NUL, finite numbers, and in free-form values only what JSON has.
// Anything else would stop every replica at its write, or differ between a cached row and the
// same row read back.
func storable(c command.Command) bool { return storableValue(reflect.ValueOf(c)) }

func storableValue(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return strings.IndexByte(v.String(), 0) < 0
	case reflect.Float64:
		return !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0)
	case reflect.Pointer:
		return v.IsNil() || storableValue(v.Elem())
	case reflect.Interface:
		return storableFree(v)
	case reflect.Struct:
		for i := range v.NumField() {
			if !storableValue(v.Field(i)) {
				return false
			}
		}
	case reflect.Slice:
		return storableItems(v)
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if !storableValue(it.Key()) || !storableValue(it.Value()) {
				return false
			}
		}
	}
	return true
}

func storableItems(v reflect.Value) bool {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return true
	}
	for i := range v.Len() {
		if !storableValue(v.Index(i)) {
			return false
		}
	}
	return true
}

// storableFree checks a free-form value: edges send numbers as floats, as JSON has them.
func storableFree(v reflect.Value) bool {
	if v.IsNil() {
		return true
	}
	switch v.Elem().Kind() {
	case reflect.String, reflect.Bool, reflect.Float64, reflect.Slice, reflect.Map:
		return storableValue(v.Elem())
	}
	return false
}
