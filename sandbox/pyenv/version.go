package pyenv

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// version is the numbers of a release; what may follow them (rc1, .post1) doesn't count here.
type version []int

var numbers = regexp.MustCompile(`^v?(\d+(?:\.\d+)*)`)

func parseVersion(text string) (version, bool) {
	m := numbers.FindStringSubmatch(text)
	if m == nil {
		return nil, false
	}
	var v version
	for part := range strings.SplitSeq(m[1], ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, false
		}
		v = append(v, n)
	}
	return v, true
}

func (v version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}

// compare takes numbers that are missing for zeros.
func (v version) compare(other version) int {
	for i := range max(len(v), len(other)) {
		if c := cmp.Compare(v.at(i), other.at(i)); c != 0 {
			return c
		}
	}
	return 0
}

func (v version) at(i int) int {
	if i < len(v) {
		return v[i]
	}
	return 0
}

// below is a version that comes before v, after all that one is likely to name.
func (v version) below() version {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i] > 0 {
			return append(append(slices.Clone(v[:i]), v[i]-1), 1<<20)
		}
	}
	return version{0}
}

// above is a version that comes after v, before all that one is likely to name.
func (v version) above() version { return append(slices.Clone(v), 0, 0, 0, 1) }

// bound is one of the clauses of a requirement: ">=1.59", "==4.*".
type bound struct {
	op   string
	v    version
	wild bool // "==4.*"
}

// bounds must all be met.
type bounds []bound

var clause = regexp.MustCompile(`^(===|==|>=|<=|~=|!=|>|<)\s*(v?\d[\w.!+-]*)(\.\*)?$`)

// parseBounds reads what follows a package's name; ok is false where that isn't understood.
func parseBounds(text string) (bs bounds, ok bool) {
	text = strings.Trim(strings.TrimSpace(text), "()")
	if text == "" {
		return nil, true
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" { // a comma at the end
			continue
		}
		m := clause.FindStringSubmatch(part)
		if m == nil {
			return nil, false
		}
		v, ok := parseVersion(m[2])
		if !ok {
			return nil, false
		}
		bs = append(bs, bound{op: m[1], v: v, wild: m[3] != ""})
	}
	return bs, true
}

func (b bound) met(v version) bool {
	c := v.compare(b.v)
	within := func(n int) bool { // the first n numbers are the same
		for i := range n {
			if v.at(i) != b.v.at(i) {
				return false
			}
		}
		return true
	}
	switch b.op {
	case "==", "===":
		return c == 0 || b.wild && within(len(b.v))
	case "!=":
		return c != 0 && !(b.wild && within(len(b.v)))
	case ">=":
		return c >= 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case "<":
		return c < 0
	}
	return c >= 0 && within(max(len(b.v)-1, 1)) // ~=
}

// possible reports whether a version can meet all of the bounds. Which ones there are isn't known here: one that could be is
// enough.
func (bs bounds) possible() bool {
	candidates := []version{{0}}
	for _, b := range bs {
		candidates = append(candidates, b.v, b.v.above(), b.v.below())
	}
	return slices.ContainsFunc(candidates, func(v version) bool {
		return !slices.ContainsFunc(bs, func(b bound) bool { return !b.met(v) })
	})
}

func (bs bounds) String() string {
	parts := make([]string, len(bs))
	for i, b := range bs {
		parts[i] = b.op + b.v.String()
		if b.wild {
			parts[i] += ".*"
		}
	}
	return strings.Join(parts, ",")
}
