package pyenv

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

// bounds are the clauses of a requirement, such as ">=1.59": all must be met.
type bounds []string

// clause is one of them. The library would also take a bare version, a single "=", and clauses without commas in between.
var clause = regexp.MustCompile(`^(===|==|>=|<=|~=|!=|>|<)\s*(v?\d[\w.!+-]*?)(\.\*)?$`)

// parseBounds reads what follows a package's name; ok is false where that isn't understood.
func parseBounds(text string) (bs bounds, ok bool) {
	for part := range strings.SplitSeq(strings.Trim(strings.TrimSpace(text), "()"), ",") {
		part = strings.TrimSpace(part)
		if part == "" { // a comma at the end
			continue
		}
		m := clause.FindStringSubmatch(part)
		if m == nil {
			return nil, false
		}
		if _, err := pep440.Parse(m[2]); err != nil {
			return nil, false
		}
		if _, err := pep440.NewSpecifiers(part); err != nil {
			return nil, false
		}
		bs = append(bs, m[1]+m[2]+m[3])
	}
	return bs, true
}

// version is what a clause compares with.
func (bs bounds) version(i int) pep440.Version {
	return pep440.MustParse(clause.FindStringSubmatch(bs[i])[2])
}

// possible reports whether a version can meet all of the bounds. Which ones there are isn't known here: one that could be is
// enough.
func (bs bounds) possible() bool {
	if len(bs) == 0 {
		return true
	}
	all, err := pep440.NewSpecifiers(bs.String(), pep440.WithPreRelease(true))
	if err != nil { // each of them was understood
		return true
	}
	candidates := []pep440.Version{pep440.MustParse("0")}
	for i := range bs {
		v := bs.version(i)
		candidates = append(candidates, v, above(v), below(v))
	}
	return slices.ContainsFunc(candidates, all.Check)
}

// above is a version that comes after v, before all that one is likely to name.
func above(v pep440.Version) pep440.Version { return pep440.MustParse(v.BaseVersion() + ".0.0.0.1") }

// below is a version that comes before v, after all that one is likely to name: of 1.60.0 it is 1.59.1048576.
func below(v pep440.Version) pep440.Version {
	parts := strings.Split(v.BaseVersion(), ".")
	for i := len(parts) - 1; i >= 0; i-- {
		if n, err := strconv.Atoi(parts[i]); err == nil && n > 0 {
			return pep440.MustParse(strings.Join(append(parts[:i:i], strconv.Itoa(n-1), "1048576"), "."))
		}
	}
	return pep440.MustParse("0")
}

func (bs bounds) String() string { return strings.Join(bs, ",") }
