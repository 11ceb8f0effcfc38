package images

import (
	"path"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// packagesFirst moves what a Dockerfile does with a service's name, and with its sources, behind the installations by pip that
// come later and read neither, so that services with the same requirements share the layers with their packages: in the
// builder's cache, and on the nodes. What is in the image stays the same. A Dockerfile in which something else may depend on the
// order, or of which that can't be told, is returned as it is; so is one that installs packages first by itself.
func packagesFirst(dockerfile []byte, given map[string]string, bases map[string]v1.Config, t contextTree) []byte {
	t, err := t.withoutIgnored()
	if err != nil {
		return dockerfile
	}
	o := order{
		lines: strings.SplitAfter(string(dockerfile), "\n"), named: map[string]bool{"NAME": true}, name: given["NAME"], context: t,
		packages: planner{context: t, last: true, plan: layerPlan{baked: map[string]string{}}},
	}
	last := -1
	followed := eachInstruction(dockerfile, given, bases, func(i int, c instructions.Command, _ []string, s stageState) bool {
		if o.pip(c, s) != nil {
			last = i
		}
		return true
	})
	sorted := followed && eachInstruction(dockerfile, given, bases, func(i int, c instructions.Command, written []string, s stageState) bool {
		return i > last || o.sort(c, strings.Join(written, ""), s)
	})
	if !sorted {
		return dockerfile
	}
	return o.reordered(dockerfile)
}

// eachInstruction calls do with each instruction of a Dockerfile of one stage, with its variables replaced, with its lines as they
// are written, and with the state that it leaves. It reports whether all could be followed, and do was content with them.
func eachInstruction(dockerfile []byte, given map[string]string, bases map[string]v1.Config, do func(i int, c instructions.Command, written []string, s stageState) bool) bool {
	d, err := parseDockerfile(dockerfile, given)
	if err != nil || len(d.stages) != 1 {
		return false
	}
	s, err := d.begin(0, nil, bases)
	if err != nil {
		return false
	}
	lines := strings.SplitAfter(string(dockerfile), "\n")
	for i, c := range d.stages[0].Commands {
		if d.follow(&s, c) != nil || len(c.Location()) == 0 {
			return false
		}
		from, to := spans(c)
		if !do(i, c, lines[from-1:to], s) {
			return false
		}
	}
	return true
}

// order sorts the instructions up to the last installation by pip.
type order struct {
	lines   []string
	context contextTree
	named   map[string]bool // variables that depend on the service's name
	name    string

	first, later []instructions.Command // what stays, and what comes behind
	packages     planner                // with the copies that stay
	installs     []install
	sources      []copyInstruction // those that come behind
	system       []stageState      // when they were copied
}

// install is what an installation by pip reads.
type install struct{ requirements, wheels []string }

// text is an instruction as it is written.
func (o *order) text(c instructions.Command) string {
	from, to := spans(c)
	return strings.Join(o.lines[from-1:to], "")
}

// spans are the first and the last line of an instruction.
func spans(c instructions.Command) (first, last int) {
	at := c.Location()
	return at[0].Start.Line, at[len(at)-1].End.Line
}

// pip returns what a RUN reads that is nothing but installations by pip; nil: it is something else.
func (o *order) pip(c instructions.Command, s stageState) *install {
	run, ok := c.(*instructions.RunCommand)
	if !ok || !run.PrependShell || len(run.Files) > 0 {
		return nil
	}
	for _, m := range instructions.GetMounts(run) {
		if m.Type == instructions.MountTypeBind {
			return nil
		}
	}
	requirements, wheels, ok := pipInstall(strings.Join(run.CmdLine, " "), s)
	if !ok {
		return nil
	}
	return &install{requirements, wheels}
}

// depends reports whether a text uses a variable that depends on the name, or the name itself.
func (o *order) depends(text string) bool {
	return slices.ContainsFunc(variable.FindAllString(text, -1), func(v string) bool { return o.named[strings.Trim(v, "${}")] }) ||
		unclear.MatchString(text) || o.name != "" && strings.Contains(text, o.name)
}

// unclear is a use of a variable with more to it than its name.
var unclear = regexp.MustCompile(`\$\{\w+[^\w}]`)

// sort puts an instruction where it belongs, and reports whether it can be told.
func (o *order) sort(c instructions.Command, text string, s stageState) bool {
	untouched := len(o.later) == 0 // nothing comes behind so far, so that anything may stay
	switch c := c.(type) {
	case *instructions.ArgCommand:
		keys := make([]string, len(c.Args))
		for i, a := range c.Args {
			keys[i] = a.Key
		}
		return o.variables(c, text, keys)
	case *instructions.EnvCommand:
		keys := make([]string, len(c.Env))
		for i, kv := range c.Env {
			keys[i] = kv.Key
		}
		return o.variables(c, text, keys)
	case *instructions.CopyCommand:
		return o.copy(c, text, s)
	case *instructions.RunCommand:
		if i := o.pip(c, s); i != nil && !o.depends(text) {
			o.installs = append(o.installs, *i)
			o.first = append(o.first, c)
			return o.readable(*i)
		}
		if o.makesFolders(c) {
			if o.depends(text) {
				o.later = append(o.later, c)
			} else {
				o.first = append(o.first, c)
			}
			return true
		}
		o.first = append(o.first, c)
		return untouched && !o.depends(text)
	}
	o.first = append(o.first, c)
	_, folder := c.(*instructions.WorkdirCommand)
	return !o.depends(text) && (untouched || folder && len(o.sources) == 0 && !o.laterRuns())
}

// laterRuns reports whether a step comes behind that runs in a folder.
func (o *order) laterRuns() bool {
	return slices.ContainsFunc(o.later, func(c instructions.Command) bool { _, run := c.(*instructions.RunCommand); return run })
}

// variables sorts an ARG or an ENV: all of its names depend on the service's, or none does.
func (o *order) variables(c instructions.Command, text string, keys []string) bool {
	depends := o.depends(text)
	count := 0
	for _, k := range keys {
		if depends || o.named[k] {
			o.named[k] = true
			count++
		}
	}
	if count == 0 {
		o.first = append(o.first, c)
		return !slices.ContainsFunc(o.later, func(l instructions.Command) bool { // it would come to know of it
			return slices.ContainsFunc(variable.FindAllString(o.text(l), -1), func(v string) bool { return slices.Contains(keys, strings.Trim(v, "${}")) })
		})
	}
	o.later = append(o.later, c)
	return count == len(keys) && !slices.ContainsFunc(keys, func(k string) bool {
		return pipVariables.MatchString(k) || strings.HasPrefix(k, "PIP_") || k == "PATH" || k == "HOME"
	})
}

// makesFolders reports whether a step is nothing but mkdir.
func (o *order) makesFolders(c *instructions.RunCommand) bool {
	if !c.PrependShell || len(c.Files) > 0 {
		return false
	}
	for command := range strings.SplitSeq(strings.Join(c.CmdLine, " "), "&&") {
		words := strings.Fields(command)
		if len(words) < 2 || words[0] != "mkdir" || strings.ContainsAny(command, ";|<>()`&*?'\"\\~") {
			return false
		}
	}
	return true
}

// copy sorts a COPY: one that brings nothing but what pip reads stays, and sources come behind. Which it is shows in what is
// there when pip runs, see readable; so far, a plain file that is no source of Python is taken for the former.
func (o *order) copy(c *instructions.CopyCommand, text string, s stageState) bool {
	plain := c.From == "" && c.Chown == "" && c.Chmod == "" && !c.Link && !c.Parents && len(c.ExcludePatterns) == 0 && len(c.SourceContents) == 0
	if !plain {
		return false
	}
	files := copyInstruction{name: written(c), dest: s.absolute(c.DestPath)}
	forPip := !o.depends(text)
	for _, source := range c.SourcePaths {
		if strings.ContainsAny(source, `\^`) || strings.Contains(source, "**") {
			return false
		}
		source = strings.TrimPrefix(path.Clean("/"+source), "/")
		files.sources = append(files.sources, source)
		f, there := o.context[source]
		forPip = forPip && there && !f.folder && (strings.HasSuffix(source, ".whl") || strings.HasSuffix(source, ".txt"))
	}
	if forPip {
		o.packages.plan.copies = append(o.packages.plan.copies, files)
		o.first = append(o.first, c)
		return true
	}
	o.sources, o.system = append(o.sources, files), append(o.system, s)
	o.later = append(o.later, c)
	return true
}

// readable reports whether pip finds all that it reads among the copies that stay, and nothing in those that come behind.
func (o *order) readable(i install) bool {
	if o.packages.checkRequirements(i.requirements) != nil {
		return false
	}
	stay := o.places(o.packages.plan.copies)
	for _, wheel := range i.wheels {
		if !stay[wheel] {
			return false
		}
	}
	for n, c := range o.sources {
		for to := range o.places([]copyInstruction{c}) {
			if stay[to] || slices.Contains(i.requirements, to) || o.system[n].isSystem(to) {
				return false
			}
		}
	}
	return true
}

// places are all files that copies may bring, whether their destinations are folders or not.
func (o *order) places(copies []copyInstruction) map[string]bool {
	all := map[string]bool{}
	for _, c := range copies {
		for _, into := range []bool{false, true} {
			files, _, err := c.place(o.context, into)
			if err != nil {
				return map[string]bool{}
			}
			for _, f := range files {
				if !f.folder {
					all[f.to] = true
				}
			}
		}
	}
	return all
}

// reordered is the Dockerfile in the new order. Comments go with what they stand above.
func (o *order) reordered(dockerfile []byte) []byte {
	if len(o.installs) == 0 || len(o.later) == 0 {
		return dockerfile
	}
	all := slices.Concat(o.first, o.later)
	slices.SortFunc(all, func(a, b instructions.Command) int {
		x, _ := spans(a)
		y, _ := spans(b)
		return x - y
	})
	start, _ := spans(all[0])
	begin := map[instructions.Command]int{}
	next := start - 1
	for _, c := range all {
		begin[c] = next
		_, next = spans(c)
	}
	var b strings.Builder
	b.WriteString(strings.Join(o.lines[:start-1], ""))
	for _, c := range slices.Concat(o.first, o.later) {
		_, end := spans(c)
		text := strings.Join(o.lines[begin[c]:end], "")
		b.WriteString(strings.TrimSuffix(text, "\n") + "\n")
	}
	b.WriteString(strings.Join(o.lines[next:], ""))
	return []byte(b.String())
}
