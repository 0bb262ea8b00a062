package node_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/nearside/nearside/cmd/node/nodetest"
)

// labelValues has all labels that our metrics may have. They have few, fixed values; no value comes from a
// client.
var labelValues = map[string]*regexp.Regexp{
	"action":    regexp.MustCompile(`^(make|restore)$`),
	"cache":     regexp.MustCompile(`^(users|sessions|memberships|channels|channels_read|teams|places|post_pages|files|file_places|initials)$`),
	"class":     regexp.MustCompile(`^(raft|log|forward|blob|gossip)$`),
	"code":      regexp.MustCompile(`^[1-5]\d\d$`),
	"from":      regexp.MustCompile(`^(memory|disk|origin)$`),
	"job":       regexp.MustCompile(`^(blob_repair|blob_sweep|bucket_check)$`),
	"operation": regexp.MustCompile(`^(other|(GET|POST|PUT|PATCH|DELETE) /[a-z0-9_/{}.:-]*)$`),
	"result":    regexp.MustCompile(`^[a-z ]+$`),
}

var metricName = regexp.MustCompile(`^nearside_[a-z][a-z0-9_]*[a-z0-9]$`)

// badMetric gives in which ways a metric breaks Prometheus's conventions.
func badMetric(f *dto.MetricFamily) (bad []string) {
	name, total := f.GetName(), strings.HasSuffix(f.GetName(), "_total")
	switch {
	case !metricName.MatchString(name):
		bad = append(bad, "the name is not nearside_, lower case and underscores")
	case f.GetHelp() == "" || !strings.HasSuffix(f.GetHelp(), "."):
		bad = append(bad, "the help is no sentence")
	case (f.GetType() == dto.MetricType_COUNTER) != total:
		bad = append(bad, "counters, and nothing else, end in _total")
	case regexp.MustCompile(`_(milliseconds|ms|microseconds|nanoseconds|minutes|hours|kb|mb|kilobytes|megabytes|percent)(_|$)`).MatchString(name):
		bad = append(bad, "units are seconds, bytes and ratios")
	case f.GetType() == dto.MetricType_HISTOGRAM && !strings.HasSuffix(name, "_seconds") && !strings.HasSuffix(name, "_bytes"):
		bad = append(bad, "a histogram says its unit")
	case regexp.MustCompile(`_(counter|gauge|histogram|summary|count|sum|bucket)$`).MatchString(name):
		bad = append(bad, "the name says its type")
	}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if values := labelValues[l.GetName()]; values == nil || !values.MatchString(l.GetValue()) {
				bad = append(bad, "label "+l.GetName()+"="+l.GetValue())
			}
		}
	}
	return bad
}

// families gives the metrics of a node, by name.
func families(t *testing.T, n *nodetest.Node) map[string]*dto.MetricFamily {
	t.Helper()
	resp, err := n.Place().Ask(t.Context(), "GET", "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p := expfmt.NewTextParser(model.LegacyValidation)
	all, err := p.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Every metric is named by the conventions and has a help text, and its labels have few values, whatever
// clients send.
func TestMetrics_FollowTheConventions(t *testing.T) {
	w := nodetest.Start(t, nodetest.Topology{Home: 1, Edges: []string{"tokyo"}})
	home, edge := w.Nodes()[0], w.Node("edge-tokyo")
	ann := edge.Client(t).SignUp("ann")
	_, square := ann.Room("crew")
	ann.Post(square.ID, "here")
	for _, method := range []string{"BREW", "GET"} {
		req, err := http.NewRequestWithContext(t.Context(), method, edge.URL()+"/api/v4/nothing-"+method, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	w.WaitConverged(t)
	var names []string
	for _, n := range []*nodetest.Node{home, edge} {
		for name, f := range families(t, n) {
			if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
				continue
			}
			names = append(names, name)
			for _, bad := range badMetric(f) {
				t.Errorf("%s at %s: %s", name, n.Name, bad)
			}
		}
	}
	for _, want := range []string{
		"nearside_http_requests_total", "nearside_http_request_duration_seconds", "nearside_proposals_total", "nearside_proposal_duration_seconds",
		"nearside_order_duration_seconds", "nearside_apply_batch_duration_seconds", "nearside_apply_entries_total", "nearside_link_connections", "nearside_api_cache_reads_total",
		"nearside_sockets", "nearside_cache_hits_total", "nearside_job_runs_total", "nearside_ready",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not measured", want)
		}
	}
	if bad := unserved(watched(t), names); len(bad) > 0 {
		t.Errorf("alerts and dashboards use what no node serves: %v", bad)
	}
	ordered := families(t, edge)["nearside_proposals_total"].GetMetric()
	if len(ordered) != 1 || ordered[0].GetLabel()[0].GetValue() != "ordered" || ordered[0].GetCounter().GetValue() < 3 {
		t.Errorf("proposals: %v", ordered)
	}
}

// watched is the text of everything that a deployment's operators are given to watch it with.
func watched(t *testing.T) (all string) {
	t.Helper()
	for _, name := range []string{"prometheus/alerts.yaml", "grafana/nearside.json"} {
		b, err := os.ReadFile("../../deploy/" + name)
		if err == nil && strings.HasSuffix(name, ".json") {
			err = json.Unmarshal(b, new(any))
		} else if err == nil {
			err = yaml.Unmarshal(b, new(any))
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all += string(b)
	}
	return all
}

// unserved gives the metrics that a text names and that are not among those that a node serves.
func unserved(text string, served []string) (bad []string) {
	for _, name := range regexp.MustCompile(`nearside_[a-z0-9_]+`).FindAllString(text, -1) {
		if !slices.Contains(served, strings.TrimSuffix(name, "_bucket")) && !slices.Contains(bad, name) {
			bad = append(bad, name)
		}
	}
	return bad
}

// The check of what is watched finds a metric that is not there, and takes a histogram's buckets for the histogram.
func TestMetrics_UnservedCanFail(t *testing.T) {
	got := unserved("rate(nearside_x_total[5m]) + nearside_y_seconds_bucket + nearside_z + nearside_z", []string{"nearside_x_total", "nearside_y_seconds"})
	if !slices.Equal(got, []string{"nearside_z"}) {
		t.Errorf("found %v", got)
	}
}

// The check finds bad metrics.
func TestMetrics_CheckCanFail(t *testing.T) {
	p := expfmt.NewTextParser(model.LegacyValidation)
	for _, text := range []string{
		"# HELP nearside_posts Posts.\n# TYPE nearside_posts counter\nnearside_posts 1\n",
		"# HELP nearside_lag_ms Lag.\n# TYPE nearside_lag_ms gauge\nnearside_lag_ms 1\n",
		"# TYPE nearside_lag_seconds gauge\nnearside_lag_seconds 1\n",
		"# HELP nearside_x_total X.\n# TYPE nearside_x_total counter\nnearside_x_total{user=\"ann\"} 1\n",
		"# HELP nearside_x_total X.\n# TYPE nearside_x_total counter\nnearside_x_total{operation=\"BREW /coffee\"} 1\n",
		"# HELP posts_total Posts.\n# TYPE posts_total counter\nposts_total 1\n",
	} {
		all, err := p.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if len(badMetric(f)) == 0 {
				t.Errorf("nothing is wrong with %s", text)
			}
		}
	}
}
