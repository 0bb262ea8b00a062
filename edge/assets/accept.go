package assets

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// maxAccept bounds how much of an Accept-Encoding header is read, in bytes.
const maxAccept = 1 << 10

// accepted returns the indexes of the codings that a client accepts, in its order of preference,
// and in our order among equals. Codings that it likes less than the plain file are left out.
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

// wanted returns the preference for a coding; zero if the client does not accept it.
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

// quality reads the q parameter. A malformed one counts as zero: the plain file is always
// acceptable.
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
