package admin

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/region"
)

// LogHandler answers the questions of operators about single entries of the log.
type LogHandler struct {
	Region func() *region.Region // nil while the node is starting, and away from home
}

// Register adds the handler's paths.
func (h *LogHandler) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/log/{index}", h.show)
	mux.HandleFunc("POST /v1/log/{index}/void", h.void)
}

// LogEntry is an entry of the log for an operator. It has no texts, hashes or session ids: what people have written and
// what could be used to act for them is left out. A text, list or map is shown by its size.
type LogEntry struct {
	Index    core.Index        `json:"index"`
	At       time.Time         `json:"at"`
	Proposal string            `json:"proposal"`
	Team     string            `json:"team,omitempty"` // of the scope; empty: the whole deployment
	Command  string            `json:"command"`
	Bytes    int               `json:"bytes"`
	Fields   map[string]string `json:"fields,omitempty"` // those that are not empty
	Void     *LogVoid          `json:"void,omitempty"`
}

// LogVoid says that an entry is skipped by order.
type LogVoid struct {
	By     core.Index `json:"by_index"`
	At     time.Time  `json:"at"`
	Reason string     `json:"reason"`
}

func (h *LogHandler) entry(r *http.Request) (*region.Region, core.Index, error) {
	i, err := strconv.ParseUint(r.PathValue("index"), 10, 63)
	if err != nil || i == 0 {
		return nil, 0, core.E(core.KindInvalid, "an entry is named by its index, a number from 1 on")
	}
	reg, err := atHome(h.Region())
	return reg, core.Index(i), err
}

// answer shows an entry, unless err says why not.
func (h *LogHandler) answer(w http.ResponseWriter, r *http.Request, reg *region.Region, i core.Index, err error) {
	var e core.Entry
	if err == nil {
		e, err = reg.Entry(r.Context(), i)
	}
	if err != nil {
		Fail(w, err)
		return
	}
	Answer(w, http.StatusOK, shown(e))
}

func (h *LogHandler) show(w http.ResponseWriter, r *http.Request) {
	reg, i, err := h.entry(r)
	h.answer(w, r, reg, i, err)
}

func (h *LogHandler) void(w http.ResponseWriter, r *http.Request) {
	var order struct {
		Reason string `json:"reason"`
	}
	reg, i, err := h.entry(r)
	if err == nil {
		err = Decode(w, r, `{"reason":"TEXT"}`, &order)
	}
	if err == nil {
		err = reg.Void(r.Context(), i, order.Reason)
	}
	h.answer(w, r, reg, i, err)
}

func shown(e core.Entry) LogEntry {
	out := LogEntry{Index: e.Index, At: e.At, Proposal: e.ID.String(), Team: e.Scope.Team.String(), Bytes: len(e.Data), Fields: map[string]string{}}
	if v := e.Void; v != nil {
		out.Void = &LogVoid{v.By, v.At, v.Reason}
	}
	_, c, err := command.Decode(e.Data)
	if err != nil {
		out.Command = "a command that this program cannot read"
		return out
	}
	v := reflect.ValueOf(c).Elem()
	out.Command = v.Type().Name()
	addFields(out.Fields, "", v)
	return out
}

// addFields adds what may be shown of a struct: numbers, truth values and ids as they are, and everything else by its size.
func addFields(out map[string]string, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		f, name := v.Field(i), prefix+v.Type().Field(i).Name
		if v.Type().Field(i).Anonymous {
			name = prefix
		}
		if f.Kind() == reflect.Pointer && !f.IsNil() {
			f = f.Elem()
		}
		if f.IsZero() {
			continue
		}
		switch f.Kind() {
		case reflect.Struct:
			if v.Type().Field(i).Anonymous {
				addFields(out, prefix, f)
			} else {
				addFields(out, name+".", f)
			}
		case reflect.Bool, reflect.Int64, reflect.Uint64:
			out[name] = fmt.Sprint(f.Interface())
		case reflect.Array:
			if id, ok := f.Interface().(fmt.Stringer); ok && f.Len() == 16 && f.Type() != reflect.TypeFor[core.SessionID]() {
				out[name] = id.String()
			} else {
				out[name] = "(left out)"
			}
		case reflect.String:
			out[name] = fmt.Sprintf("(text of %d bytes)", f.Len())
		case reflect.Slice:
			out[name] = fmt.Sprintf("(list of %d)", f.Len())
		case reflect.Map:
			out[name] = fmt.Sprintf("(map of %d)", f.Len())
		}
	}
}
