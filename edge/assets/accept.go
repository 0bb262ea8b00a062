package assets

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// maxAccept bounds what of a header is looked at.
const maxAccept = 1 << 10

// accepted gives the indexes of the codings that a client takes, the one it likes best first;
// among equals our own order counts. What it likes less than the plain file is left out.
func accepted(headers []string) []int {
	q := map[string]float64{}
	header := strings.Join(headers, ",")
	for part := range strings.SplitSeq(header[:min(len(header), maxAccept)], ",") {
		name, params, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, again := q[name]; name != "" && !again {
			q[name] = quality(params)
		}
	}
	plain, said := q["identity"]
	var out []int
	for i, c := range codings {
		if w := wanted(q, c.name); w > 0 && (!said || w >= plain) {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(wanted(q, codings[b].name), wanted(q, codings[a].name)) })
	return out
}

// wanted is zero for what a client does not take.
func wanted(q map[string]float64, name string) float64 {
	if w, ok := q[name]; ok {
		return w
	}
	if name == "gzip" {
		if w, ok := q["x-gzip"]; ok {
			return w
		}
	}
	return q["*"]
}

// quality reads q; what cannot be read is a refusal, since plain bytes are never wrong.
func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(key), "q") {
			continue
		}
		w, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(w >= 0 && w <= 1) {
			return 0
		}
		return w
	}
	return 1
}
