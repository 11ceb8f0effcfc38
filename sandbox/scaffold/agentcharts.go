package scaffold

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// chartsDir is where the charts are, relative to the workspace.
const chartsDir = "charts"

// party is a name as agreements spell it, and in lower case, as Kubernetes does.
type party struct{ name string }

func (p party) lower() string { return strings.ToLower(p.name) }

// word finds the name, in either spelling, where it isn't a part of a longer word.
func (p party) word() *regexp.Regexp {
	return regexp.MustCompile(`\b(?:` + regexp.QuoteMeta(p.name) + `|` + regexp.QuoteMeta(p.lower()) + `)\b`)
}

// renamed is a text with another party's name in place of this one's.
func (p party) renamed(text string, to party) string {
	return p.word().ReplaceAllStringFunc(text, func(found string) string {
		if found == p.name {
			return to.name
		}
		return to.lower()
	})
}

// charts are the values and templates of a workspace's charts. Agents are in them in one of two ways, or in both: as an
// element of a list (or a map) in the values, from which a template makes what each of them takes; or as documents, and whole
// files, of their own.
type charts struct {
	files map[string]string // by path in the workspace
}

func (w Workspace) readCharts() (*charts, error) {
	c := &charts{files: map[string]string{}}
	for _, pattern := range []string{"*/values.yaml", "*/templates/*.yaml", "*/templates/*.yml"} {
		files, err := fs.Glob(os.DirFS(w.Dir), path.Join(chartsDir, pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			p := filepath.Join(w.Dir, filepath.FromSlash(file))
			info, err := os.Lstat(p)
			if err != nil {
				return nil, err
			}
			if !info.Mode().IsRegular() { // a link: what it leads to is looked at where that is
				continue
			}
			content, err := os.ReadFile(p)
			if err != nil {
				return nil, err
			}
			c.files[file] = string(content)
		}
	}
	return c, nil
}

// mention is the first place, comments aside, at which a party is named; nil where there is none.
func (c *charts) mention(p party) *fault.Invalid {
	for _, file := range sortedKeys(c.files) {
		for i, line := range strings.Split(c.files[file], "\n") {
			if at := p.word().FindStringIndex(code(line)); at != nil {
				return &fault.Invalid{
					File: file, Line: i + 1, Column: len([]rune(line[:at[0]])) + 1,
					Problem: "the charts have " + quote(line[at[0]:at[1]]) + " already", Suggestion: "choose another name",
				}
			}
		}
	}
	return nil
}

// code is a line of YAML without a comment that takes all of it, or comes after white space.
func code(line string) string {
	if at := comment.FindStringIndex(line); at != nil {
		return line[:at[0]]
	}
	return line
}

var comment = regexp.MustCompile(`(^|\s)#.*`)

// in reports whether a text names a party outside of comments.
func (p party) in(text string) bool {
	return slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return p.word().MatchString(code(line)) })
}

// add works out what puts a party beside one that is there.
func (c *charts) add(p, like party) Changes {
	var changes Changes
	for _, file := range sortedKeys(c.files) {
		content := c.files[file]
		switch base := path.Base(file); {
		case base == "values.yaml":
			if after := addElements(content, p, like); after != content {
				changes = append(changes, Change{Path: file, Before: []byte(content), After: []byte(after)})
			}
		case like.word().MatchString(base):
			copied := path.Join(path.Dir(file), like.renamed(base, p))
			changes = append(changes, Change{Path: copied, After: []byte(like.renamed(content, p))})
		default:
			if after := addDocuments(content, p, like); after != content {
				changes = append(changes, Change{Path: file, Before: []byte(content), After: []byte(after)})
			}
		}
	}
	return changes
}

// remove works out what takes a party out. edited are the files in which that isn't what [charts.add] would write beside one of
// the others now. A document that names others, too, and isn't such a copy, is nobody's to remove.
func (c *charts) remove(p party, others []party) (changes Changes, edited []string, err error) {
	for _, file := range sortedKeys(c.files) {
		content := c.files[file]
		change := Change{Path: file, Before: []byte(content)}
		after, worked := "", false
		switch base := path.Base(file); {
		case base == "values.yaml":
			after, worked = removeElements(content, p, others)
			change.After = []byte(after)
		case p.word().MatchString(base):
		default:
			if at := shared(file, content, p, others); at != nil {
				return nil, nil, *at
			}
			after, worked = removeDocuments(content, p, others)
			change.After = []byte(after)
		}
		if after != content {
			changes = append(changes, change)
		}
		if worked {
			edited = append(edited, file)
		}
	}
	return changes, edited, nil
}

// documentStart begins a document of a template.
var documentStart = regexp.MustCompile(`(?m)^---[ \t]*\r?$`)

// documents are the parts of a template, each with the line before it that separates it.
func documents(content string) []string {
	var docs []string
	start := 0
	for _, at := range documentStart.FindAllStringIndex(content, -1) {
		if at[0] > start {
			docs = append(docs, content[start:at[0]])
		}
		start = at[0]
	}
	return append(docs, content[start:])
}

// addDocuments puts a copy of each document that names a party behind it.
func addDocuments(content string, p, like party) string {
	var b strings.Builder
	for _, doc := range documents(content) {
		b.WriteString(doc)
		if !like.in(doc) {
			continue
		}
		copied := like.renamed(doc, p)
		if !documentStart.MatchString(doc) {
			copied = "---\n" + copied
		}
		if !strings.HasSuffix(doc, "\n") { // the file's end stays as it was
			copied = "\n" + copied
		}
		b.WriteString(copied)
	}
	return b.String()
}

func removeDocuments(content string, p party, others []party) (after string, edited bool) {
	var kept []string
	docs := documents(content)
	for _, doc := range docs {
		if !p.in(doc) {
			kept = append(kept, doc)
			continue
		}
		edited = edited || !isCopy(doc, docs, p, others)
	}
	after = strings.Join(kept, "")
	if len(kept) < len(docs) && !strings.HasSuffix(content, "\n") {
		after = strings.TrimSuffix(after, "\n")
	}
	return after, edited
}

// isCopy reports whether a document is what [addDocuments] makes of another one.
func isCopy(doc string, docs []string, p party, others []party) bool {
	body := func(doc string) string { return strings.TrimSpace(documentStart.ReplaceAllString(doc, "")) }
	return slices.ContainsFunc(others, func(like party) bool {
		return slices.ContainsFunc(docs, func(d string) bool { return like.in(d) && body(like.renamed(d, p)) == body(doc) })
	})
}

// shared is where a document names a party beside others, without being a copy of theirs; nil where none does.
func shared(file, content string, p party, others []party) *fault.Invalid {
	docs := documents(content)
	line := 0
	for _, doc := range docs {
		beside := slices.IndexFunc(others, func(other party) bool { return other.in(doc) })
		for i, text := range strings.Split(doc, "\n") {
			if at := p.word().FindStringIndex(code(text)); at != nil && beside >= 0 && !isCopy(doc, docs, p, others) {
				return &fault.Invalid{
					File: file, Line: line + i + 1, Column: len([]rune(text[:at[0]])) + 1,
					Problem:    "this document names " + quote(text[at[0]:at[1]]) + " beside " + quote(others[beside].name) + ", and can't go as a whole",
					Suggestion: "take the name out of it first",
				}
			}
		}
		line += strings.Count(doc, "\n")
	}
	return nil
}

// Elements of the values that are a party: in a list of their own lines, alone or by their name; in a list in one line; as a
// key.
func (p party) element() *regexp.Regexp {
	either := `["']?(?:` + regexp.QuoteMeta(p.name) + `|` + regexp.QuoteMeta(p.lower()) + `)["']?`
	return regexp.MustCompile(`^([ ]*)(?:-[ ]+(?:name:[ ]*)?` + either + `|` + either + `:(?:[ ]*\{.*\})?)[ \t]*(?:#.*)?$`)
}

func (p party) inline() *regexp.Regexp {
	return regexp.MustCompile(`^([^#]*:[ ]*\[(?:[^\]]*,)?)([ ]*)(["']?)(` + regexp.QuoteMeta(p.name) + `|` + regexp.QuoteMeta(p.lower()) + `)(["']?)([ ]*[,\]].*)$`)
}

// block is the end of the element that begins at a line: lines that are indented further belong to it.
func block(lines []string, at, indent int) int {
	end := at + 1
	for i := end; i < len(lines); i++ {
		text := strings.TrimLeft(lines[i], " ")
		if strings.TrimSpace(text) == "" {
			continue
		}
		if len(lines[i])-len(text) <= indent {
			break
		}
		end = i + 1
	}
	return end
}

// addElements puts a party behind the last of the elements that one is among.
func addElements(content string, p, like party) string {
	lines := strings.SplitAfter(content, "\n")
	for at := 0; at < len(lines); at++ {
		line := strings.TrimRight(lines[at], "\r\n")
		if m := like.inline().FindStringSubmatch(line); m != nil {
			end := len(line) - len(m[6]) + strings.Index(m[6], "]")
			last := len(strings.TrimRight(line[:end], " "))
			lines[at] = lines[at][:last] + ", " + m[3] + like.renamed(m[4], p) + m[5] + lines[at][last:]
			continue
		}
		m := like.element().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		end := block(lines, at, len(m[1]))
		copied := slices.Clone(lines[at:end])
		dash := strings.HasPrefix(line[len(m[1]):], "-")
		for end < len(lines) { // those that come after it
			next := strings.TrimRight(lines[end], "\r\n")
			text := strings.TrimLeft(next, " ")
			if len(next)-len(text) != len(m[1]) || text == "" || strings.HasPrefix(text, "#") || strings.HasPrefix(text, "-") != dash {
				break
			}
			end = block(lines, end, len(m[1]))
		}
		for i := range copied {
			copied[i] = like.renamed(copied[i], p)
		}
		if last := &lines[end-1]; !strings.HasSuffix(*last, "\n") {
			*last += "\n"
			copied[len(copied)-1] = strings.TrimSuffix(copied[len(copied)-1], "\n")
		} else if last := &copied[len(copied)-1]; !strings.HasSuffix(*last, "\n") {
			*last += "\n"
		}
		lines = slices.Insert(lines, end, copied...)
		at = end + len(copied) - 1
	}
	return strings.Join(lines, "")
}

func removeElements(content string, p party, others []party) (after string, edited bool) {
	lines := strings.SplitAfter(content, "\n")
	for at := 0; at < len(lines); at++ {
		line := strings.TrimRight(lines[at], "\r\n")
		if m := p.inline().FindStringSubmatch(line); m != nil {
			edited = edited || !slices.ContainsFunc(others, func(like party) bool { return like.inline().MatchString(line) })
			before, more := strings.CutSuffix(m[1], ",")
			if !more { // the first: what separates it from the next goes
				m[6] = strings.TrimLeft(strings.TrimPrefix(strings.TrimLeft(m[6], " "), ","), " ")
			}
			lines[at] = before + m[6] + lines[at][len(line):]
			at-- // it may be there twice
			continue
		}
		m := p.element().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		end := block(lines, at, len(m[1]))
		edited = edited || !isElementLike(lines, at, end, p, others)
		lines = slices.Delete(lines, at, end)
		at--
	}
	after = strings.Join(lines, "")
	if after != content && !strings.HasSuffix(content, "\n") {
		after = strings.TrimSuffix(after, "\n")
	}
	return after, edited
}

// isElementLike reports whether an element is what [addElements] makes of another one of its list, or map.
func isElementLike(lines []string, at, end int, p party, others []party) bool {
	indentOf := func(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
	indent := indentOf(lines[at])
	text := strings.TrimSpace(strings.Join(lines[at:end], ""))
	dash := strings.HasPrefix(text, "-")
	outside := func(line string) bool {
		rest := strings.TrimSpace(line)
		return rest != "" && (indentOf(line) < indent || indentOf(line) == indent && !strings.HasPrefix(rest, "#") && strings.HasPrefix(rest, "-") != dash)
	}
	first := at
	for first > 0 && !outside(lines[first-1]) {
		first--
	}
	for i := first; i < len(lines) && !outside(lines[i]); i++ {
		for _, like := range others {
			m := like.element().FindStringSubmatch(strings.TrimRight(lines[i], "\r\n"))
			if m != nil && len(m[1]) == indent &&
				strings.TrimSpace(like.renamed(strings.Join(lines[i:block(lines, i, indent)], ""), p)) == text {
				return true
			}
		}
	}
	return false
}

// rendered is what the charts would amount to with changes.
func (w Workspace) rendered(edited Changes) (d Deployment, err error) {
	dir, err := os.MkdirTemp("", "dynsandbox-charts-")
	if err != nil {
		return d, err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(filepath.Join(dir, chartsDir), os.DirFS(filepath.Join(w.Dir, chartsDir))); err != nil {
		return d, err
	}
	for _, c := range edited {
		at := filepath.Join(dir, filepath.FromSlash(c.Path))
		if c.After == nil {
			err = os.Remove(at)
		} else {
			err = os.WriteFile(at, c.After, 0o600)
		}
		if err != nil {
			return d, err
		}
	}
	return w.Render(dir)
}
