package images

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// layerPlan says which files of a build's context are in its image at places that COPYs of the last stage tell, and in
// nothing else of it. A change of these can be made by a layer; a change of any other file needs the build's steps.
type layerPlan struct {
	copies []copyInstruction // of the last stage
	baked  map[string]string // the context's other files that the build reads, and who reads them, for people
}

// planLayer follows a Dockerfile's instructions. An error says, for people, why nothing can be told of the image.
func planLayer(content []byte, given map[string]string, bases map[string]v1.Config, t contextTree) (layerPlan, error) {
	d, err := parseDockerfile(content, given)
	if err != nil {
		return layerPlan{}, err
	}
	p := planner{context: t, plan: layerPlan{baked: map[string]string{}}}
	var done []stageState
	for i := range d.stages {
		s, err := d.begin(i, done, bases)
		if err != nil {
			return layerPlan{}, err
		}
		p.last = i == len(d.stages)-1
		for _, command := range d.stages[i].Commands {
			if err := d.follow(&s, command); err != nil {
				return layerPlan{}, err
			}
			if err := p.read(command, s); err != nil {
				return layerPlan{}, err
			}
		}
		done = append(done, s)
	}
	return p.plan, nil
}

type planner struct {
	context contextTree
	last    bool // the stage is the last one
	steps   int  // how many of the plan's copies are already known to be read by a step
	plan    layerPlan
}

// read takes in what an instruction reads of the context, or of what the COPYs before it brought.
func (p *planner) read(command instructions.Command, s stageState) error {
	switch c := command.(type) {
	case *instructions.CopyCommand:
		if c.From != "" || len(c.SourcePaths) == 0 {
			return nil // what another stage read of the context is said there
		}
		plain := c.Chown == "" && c.Chmod == "" && !c.Link && !c.Parents && len(c.ExcludePatterns) == 0 && len(c.SourceContents) == 0
		return p.copy(command, c.SourcesAndDest, s, plain && p.last)
	case *instructions.AddCommand:
		return p.copy(command, c.SourcesAndDest, s, false)
	case *instructions.RunCommand:
		return p.run(c, s)
	}
	return nil
}

func (p *planner) copy(command instructions.Command, files instructions.SourcesAndDest, s stageState, plain bool) error {
	c := copyInstruction{name: written(command), dest: s.absolute(files.DestPath)}
	for _, source := range files.SourcePaths {
		if strings.Contains(source, "://") || strings.HasPrefix(source, "git@") {
			continue // not of the context
		}
		if strings.ContainsAny(source, `\^`) || strings.Contains(source, "**") {
			return fmt.Errorf("%s: the pattern is not understood here", c.name)
		}
		c.sources = append(c.sources, strings.TrimPrefix(path.Clean("/"+source), "/"))
	}
	if !plain {
		return p.bake(c, c.name+" takes it", nil)
	}
	if _, _, err := c.place(p.context, false); err != nil {
		return err
	}
	p.plan.copies = append(p.plan.copies, c)
	return nil
}

// run decides which of the files that were copied so far a step may read.
func (p *planner) run(c *instructions.RunCommand, s stageState) error {
	name, rest := written(c), false
	for _, m := range instructions.GetMounts(c) {
		if m.Type == instructions.MountTypeBind && m.From == "" {
			return fmt.Errorf("%s mounts the context", name)
		}
		rest = rest || m.Type == instructions.MountTypeBind
	}
	if !p.last {
		return nil
	}
	requirements, wheels, ok := pipInstall(strings.Join(c.CmdLine, " "), s)
	if !ok || rest || !c.PrependShell || len(c.Files) > 0 || p.checkRequirements(requirements) != nil {
		for _, before := range p.plan.copies[p.steps:] {
			if err := p.bake(before, name+" comes after it and may read it", nil); err != nil {
				return err
			}
		}
		p.steps = len(p.plan.copies)
		return nil
	}
	for _, before := range p.plan.copies[p.steps:] {
		err := p.bake(before, name+" reads it", func(to string) bool {
			return slices.Contains(requirements, to) || slices.Contains(wheels, to) || s.isSystem(to)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkRequirements returns an error unless files of requirements are files of the context that name only packages.
func (p *planner) checkRequirements(files []string) error {
	for _, file := range files {
		from := ""
		for _, c := range p.plan.copies {
			for _, intoFolder := range []bool{false, true} {
				placed, _, err := c.place(p.context, intoFolder)
				if err != nil {
					return err
				}
				for _, f := range placed {
					if f.to == file && !f.folder {
						from = f.from
					}
				}
			}
		}
		if from == "" {
			return errors.New("it is not copied from the context")
		}
		r, err := p.context.read(from)
		if err != nil {
			return err
		}
		err = onlyPackages(r)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// bake notes that a COPY's files are read by more than itself: those whose place is wanted, or all.
func (p *planner) bake(c copyInstruction, why string, wanted func(to string) bool) error {
	for _, intoFolder := range []bool{false, true} { // whether the destination is one is only known of the image
		placed, _, err := c.place(p.context, intoFolder)
		if err != nil {
			return err
		}
		for _, f := range placed {
			if _, known := p.plan.baked[f.from]; !known && (wanted == nil || wanted(f.to)) {
				p.plan.baked[f.from] = why
			}
		}
	}
	return nil
}
