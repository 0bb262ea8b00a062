package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/nearside/nearside/cmd/admin"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/backoff"
)

const (
	maxAuditLines = 100_000
	followEvery   = time.Second
)

// auditQuery says which lines of the audit trail are wanted.
type auditQuery struct {
	user, action, result string
	since, until         string
	limit                int
	follow               bool
}

func (a *app) audit() *cobra.Command {
	var t targets
	var o format
	var q auditQuery
	cmd := &cobra.Command{
		Use: "audit", Short: "Read the audit trail", Args: noArgs,
		Long: `Shows the audit trail, the latest line last: who did what on what, from where, and with what result.
It has sign-ins and failed ones, what was refused, what people do to accounts, teams, channels and
the things of others, and what operators do. It is the same at every node. What often fails in the same
way is one line, which says how often.

` + targetsHelp,
		Example: "  nearside audit --user ada --since 24h\n  nearside audit --action login_failed -o json\n  nearside audit -f",
	}
	t.flags(cmd)
	o.flag(cmd)
	f := cmd.Flags()
	f.StringVar(&q.user, "user", "", "only what this `user` did, or was tried with the account: a username or an id")
	f.StringVar(&q.action, "action", "", "only this `action`, such as create_session, login_failed or patch_user")
	f.StringVar(&q.result, "result", "", "only this `result`: the id of a refusal, or \"done\"")
	f.StringVar(&q.since, "since", "", "a `time` (RFC 3339), or how long ago, such as 24h")
	f.StringVar(&q.until, "until", "", "the same; lines from that `time` on are left out")
	f.IntVar(&q.limit, "limit", 100, fmt.Sprintf("`number` of lines, at most %d", maxAuditLines))
	f.BoolVarP(&q.follow, "follow", "f", false, "go on with lines as they come")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		values, err := q.values(time.Now())
		if err != nil {
			return usageError{err}
		}
		nodes, err := t.find(cmd)
		if err != nil {
			return err
		}
		return a.showAudits(cmd.Context(), nodes, o, q, values)
	}
	return cmd
}

func (q *auditQuery) values(now time.Time) (url.Values, error) {
	if q.limit < 1 || q.limit > maxAuditLines {
		return nil, fmt.Errorf("--limit goes from 1 to %d", maxAuditLines)
	}
	v := url.Values{"user": {q.user}, "action": {q.action}, "result": {q.result}}
	for name, text := range map[string]string{"since": q.since, "until": q.until} {
		at, err := moment(text, now)
		if err != nil {
			return nil, fmt.Errorf("--%s: %q is neither a time such as 2026-01-31T12:00:00Z nor a duration such as 24h", name, text)
		}
		if !at.IsZero() {
			v.Set(name, strconv.FormatInt(at.UnixMilli(), 10))
		}
	}
	return v, nil
}

// moment reads a time, or how long ago it was; "" is the zero time.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	return time.Parse(time.RFC3339, text)
}

// showAudits shows the latest lines of the first node that answers.
func (a *app) showAudits(ctx context.Context, nodes []report, o format, q auditQuery, v url.Values) error {
	var failed error
	for _, n := range nodes {
		list, err := latestAudits(ctx, n.place, q.limit, v)
		if err != nil {
			failed = err
			continue
		}
		last := int64(0)
		if len(list) > 0 {
			last = list[len(list)-1].Number
		}
		if err := writeAudits(a.out, o, list, !q.follow); err != nil || !q.follow {
			return err
		}
		return a.followAudits(ctx, n.place, o, v, last)
	}
	return failed
}

// latestAudits asks for the latest lines, page by page, and gives them in their order.
func latestAudits(ctx context.Context, at admin.Place, limit int, v url.Values) ([]core.Audit, error) {
	var all []core.Audit
	for len(all) < limit {
		page := min(limit-len(all), admin.MaxAudits)
		v.Set("limit", strconv.Itoa(page))
		var got admin.Audits
		if err := call(ctx, at, "/v1/audits?"+v.Encode(), nil, &got); err != nil {
			return nil, err
		}
		all = append(all, got.Audits...)
		if len(got.Audits) < page {
			break
		}
		v.Set("before", strconv.FormatInt(all[len(all)-1].Number, 10))
	}
	v.Del("before")
	slices.Reverse(all)
	return all, nil
}

// followAudits shows lines as they come, until the command is ended. If nothing has been shown, it begins with what is
// written from now on.
func (a *app) followAudits(ctx context.Context, at admin.Place, o format, v url.Values, last int64) error {
	v.Set("limit", strconv.Itoa(admin.MaxAudits))
	v.Set("after", strconv.FormatInt(max(last, 1), 10))
	for backoff.Pause(ctx, followEvery) {
		var got admin.Audits
		if err := call(ctx, at, "/v1/audits?"+v.Encode(), nil, &got); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // it was ended
			}
			return err
		}
		if len(got.Audits) == 0 {
			continue
		}
		v.Set("after", strconv.FormatInt(got.Audits[len(got.Audits)-1].Number, 10))
		if err := writeAudits(a.out, o, got.Audits, false); err != nil {
			return err
		}
	}
	return nil
}

// writeAudits writes lines as a table, or as one JSON value, or, if there will be more, one for each line.
func writeAudits(out io.Writer, o format, list []core.Audit, all bool) error {
	if o == "json" && all {
		return writeJSON(out, admin.Audits{Audits: list})
	}
	if o == "json" {
		enc := json.NewEncoder(out)
		for _, l := range list {
			if err := enc.Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if all {
		fmt.Fprintln(w, "TIME\tWHO\tFROM\tACTION\tON\tRESULT\tTIMES")
	}
	for _, l := range list {
		who := l.Actor
		if !l.UserID.IsZero() {
			who = l.UserID.String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", time.UnixMilli(l.CreateAt).UTC().Format(time.RFC3339),
			orDash(who), orDash(l.Address), l.Action, orDash(l.Object), orDash(l.Result), l.Times)
	}
	return w.Flush()
}
