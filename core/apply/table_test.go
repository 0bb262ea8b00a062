package apply

import (
	"reflect"
	"testing"

	"github.com/nearside/nearside/core/command"
)

// Every command of the vocabulary has a handler, and every handler stands for a command.
func TestTable_IsTheVocabulary(t *testing.T) {
	known := map[reflect.Type]bool{}
	for n, typ := range command.Types() {
		p := reflect.PointerTo(typ)
		known[p] = true
		if handlers[p] == nil {
			t.Errorf("command %d, %v, has no handler", n, typ)
		}
	}
	for p := range handlers {
		if !known[p] {
			t.Errorf("%v has a handler and no number", p)
		}
	}
}
