package ws

import (
	"context"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
)

// maxStatuses bounds the answer to get_statuses, and the ids of get_statuses_by_ids.
const maxStatuses = 10_000

// serve answers a request of an authenticated client; answer is false if the request gets no
// answer.
func (c *client) serve(ctx context.Context, r *request) (data any, err error, answer bool) {
	switch {
	case r.Action == "":
		return nil, noAction, true
	case r.Seq <= 0:
		return nil, badSeq, true
	case strings.HasPrefix(r.Action, "custom_"):
		return nil, nil, false // for plugins, which never answer
	}
	serve, ok := actions(r.Action)
	if !ok {
		return nil, badAction, true
	}
	data, err = serve(c, ctx, r)
	return data, err, true
}

type action func(c *client, ctx context.Context, r *request) (any, error)

func actions(name string) (action, bool) {
	switch name {
	case "ping":
		return (*client).ping, true
	case "user_typing":
		return (*client).userTyping, true
	case "user_update_active_status":
		return (*client).activeStatus, true
	case "get_statuses":
		return (*client).statuses, true
	case "get_statuses_by_ids":
		return (*client).statusesByIDs, true
	case "presence", "posted_notify_ack":
		return (*client).noted, true
	}
	return nil, false
}

func (c *client) ping(context.Context, *request) (any, error) {
	return map[string]any{
		"text": "pong", "version": c.handler.cfg.Product, "server_time": time.Now().UnixMilli(), "node_id": "",
	}, nil
}

func (c *client) userTyping(ctx context.Context, r *request) (any, error) {
	ch, ok := core.ParseID[core.Channel](text(r, "channel_id"))
	if !ok {
		return nil, badParam.With("name", "channel_id")
	}
	var parent core.PostID
	if s := text(r, "parent_id"); s != "" {
		if parent, ok = core.ParseID[core.Post](s); !ok {
			return nil, badParam.With("name", "parent_id")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, AuthWithin)
	defer cancel()
	if err := c.handler.cfg.Hub.Typing(ctx, c.session.UserID, ch, parent); err != nil {
		return nil, badParam.With("name", "channel_id")
	}
	return nil, nil
}

func (c *client) activeStatus(_ context.Context, r *request) (any, error) {
	active, ok := r.Data["user_is_active"].(bool)
	if !ok {
		return nil, badParam.With("name", "user_is_active")
	}
	byHand, _ := r.Data["manual"].(bool)
	c.handler.cfg.Hub.Active(c.session.UserID, active, byHand)
	return nil, nil
}

func (c *client) statuses(context.Context, *request) (any, error) {
	out := map[string]string{}
	if p := c.handler.cfg.Presence; p != nil {
		for u, s := range p.Present(maxStatuses) {
			out[u.String()] = s
		}
	}
	return out, nil
}

func (c *client) statusesByIDs(_ context.Context, r *request) (any, error) {
	list, ok := r.Data["user_ids"].([]any)
	if !ok || len(list) == 0 || len(list) > maxStatuses {
		return nil, badParam.With("name", "user_ids")
	}
	ids := make([]core.UserID, len(list))
	for i, v := range list {
		s, _ := v.(string)
		if ids[i], ok = core.ParseID[core.User](s); !ok {
			return nil, badParam.With("name", "user_ids")
		}
	}
	out := make(map[string]string, len(ids))
	for _, u := range ids {
		out[u.String()] = "offline"
	}
	if p := c.handler.cfg.Presence; p != nil {
		for _, s := range p.Status(ids) {
			out[s.UserID.String()] = s.Status
		}
	}
	return out, nil
}

// noted answers requests that only report what a client displays: nothing here depends on it.
func (c *client) noted(context.Context, *request) (any, error) { return nil, nil }

func text(r *request, key string) string {
	s, _ := r.Data[key].(string)
	return s
}
