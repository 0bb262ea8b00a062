package schema

import (
	"fmt"
	"reflect"
)

// PatchOf gives a function that sets fields of a noun T: those that are not nil in a patch P. The pointers
// in P have the names of the fields of T that they set, and point to their types. PatchOf panics if one
// does not, which stops the program at its start.
func PatchOf[P, T any]() func(to *T, patch *P) {
	noun, patch := reflect.TypeFor[T](), reflect.TypeFor[P]()
	to := make([][]int, patch.NumField())
	for i := range to {
		f := patch.Field(i)
		field, ok := noun.FieldByName(f.Name)
		if !ok || f.Type != reflect.PointerTo(field.Type) {
			panic(fmt.Sprintf("%v.%s sets no field of %v: it must be a pointer with a field's name and type", patch, f.Name, noun))
		}
		to[i] = field.Index
	}
	return func(row *T, p *P) {
		values, fields := reflect.ValueOf(p).Elem(), reflect.ValueOf(row).Elem()
		for i, index := range to {
			if v := values.Field(i); !v.IsNil() {
				fields.FieldByIndex(index).Set(v.Elem())
			}
		}
	}
}
