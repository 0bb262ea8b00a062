package ws

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/catalogue"
)

// What a client can be refused for.
var (
	busy       = core.Refusal{Kind: core.KindUnavailable, ID: "api.websocket_handler.server_busy.app_error"}
	badUpgrade = core.Refusal{Kind: core.KindInvalid, ID: "api.web_socket.connect.upgrade.app_error"}
	noAction   = core.Refusal{Kind: core.KindInvalid, ID: "api.web_socket_router.no_action.app_error"}
	badSeq     = core.Refusal{Kind: core.KindInvalid, ID: "api.web_socket_router.bad_seq.app_error"}
	badAction  = core.Refusal{Kind: core.KindInternal, ID: "api.web_socket_router.bad_action.app_error"} // as on existing servers
	tooFast    = core.Refusal{Kind: core.KindLimit, ID: "api.nearside.limit.app_error"}
	badParam   = core.Refusal{Kind: core.KindInvalid, ID: "api.websocket_handler.invalid_param.app_error"}
)

// statuses has the HTTP status of the kinds above.
var statuses = map[core.Kind]int{core.KindUnavailable: http.StatusServiceUnavailable, core.KindInvalid: http.StatusBadRequest, core.KindInternal: http.StatusInternalServerError, core.KindLimit: http.StatusTooManyRequests}

// apiError is an error in the API's format.
type apiError struct {
	ID       string `json:"id"`
	Message  string `json:"message"`
	Detailed string `json:"detailed_error"`
	Status   int    `json:"status_code"`
}

// problemOf returns the wire form of a refusal, in the reader's language.
func problemOf(err error, lang catalogue.Language) *apiError {
	e := core.AsError(err)
	return &apiError{ID: e.ID, Message: lang.Text(e.ID, e.Args), Status: statuses[e.Kind]}
}

// refuse answers a request that does not become a connection.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err, catalogue.For("", r.Header.Get("Accept-Language")))
	body, _ := json.Marshal(struct {
		*apiError
		RequestID string `json:"request_id"`
	}{p, core.NewID[request](time.Now()).String()}) // strings can always be encoded
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // an error means that the client has gone
}
