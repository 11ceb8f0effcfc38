package sandbox

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// BundlePlan is what would go into a bundle of a workspace.
type BundlePlan struct {
	Workspace string       `json:"workspace"`
	Items     []BundleItem `json:"items"`
}

// BundleItem is one thing of it.
type BundleItem struct {
	Role string `json:"role"`
	Name string `json:"name"`
	Here bool   `json:"here"` // or it is built or pulled first
}

// WriteText prints the plan for people.
func (p BundlePlan) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%-12s %s\n", "workspace", p.Workspace)
	for _, i := range p.Items {
		first := ""
		if !i.Here {
			first = " (is built or pulled first)"
		}
		fmt.Fprintf(w, "%-12s %s%s\n", i.Role, i.Name, first)
	}
	_, err := fmt.Fprintln(w, "nothing was written")
	return err
}

// bundling returns what a bundle is made with: a bring-up that never runs, of a workspace that was read, and a function
// that closes it. Of want, the workspace counts (the one that dir lies in where none is named), and what services are
// built with.
func bundling(ctx context.Context, want Settings, dir string) (_ *bringUp, done func() error, err error) {
	workspace := want.Workspace
	if workspace == "" {
		if workspace, err = FindWorkspace(dir); err != nil {
			return nil, nil, err
		}
	}
	if workspace, err = filepath.Abs(workspace); err != nil {
		return nil, nil, err
	}
	if err := checkWorkspace(workspace); err != nil {
		return nil, nil, err
	}
	b := newBringUp(&session{log: slog.New(slog.DiscardHandler)}, UpOptions{}, newFeed(nil))
	b.record.Debug, b.record.BuildArgs = want.Debug != nil && *want.Debug, want.BuildArgs
	if b.workspace, err = readWorkspace(workspace, "unused", false); err != nil {
		return nil, nil, err
	}
	if b.cache, err = CacheDir(); err != nil {
		return nil, nil, err
	}
	if b.session.docker, err = engine.Connect(ctx); err != nil {
		return nil, nil, err
	}
	return b, b.session.docker.Close, nil
}

// PlanBundle says what [CreateBundle] would put into a bundle. It changes nothing.
func PlanBundle(ctx context.Context, want Settings, dir string) (BundlePlan, error) {
	b, done, err := bundling(ctx, want, dir)
	if err != nil {
		return BundlePlan{}, err
	}
	defer done() //nolint:errcheck // nothing is lost with the connection
	p := BundlePlan{Workspace: b.workspace.dir}
	node, here, err := nodeImages(b.session.docker, b.cache, nil).Has(ctx, "")
	if err != nil {
		return p, err
	}
	p.Items = append(p.Items, BundleItem{images.RoleNode, node, here})
	if here, err = b.thirdParty().Has(ctx, brokerImage); err != nil {
		return p, err
	}
	p.Items = append(p.Items, BundleItem{images.RoleBroker, brokerImage, here})
	for _, s := range b.workspace.found.Services {
		lacks, err := b.builders().Lacks(ctx, []images.Service{s})
		if err != nil {
			return p, err
		}
		p.Items = append(p.Items, BundleItem{images.RoleService, s.Name, len(lacks) == 0})
	}
	return p, nil
}

// CreateBundle writes everything to a file that a machine without a network needs to bring a workspace up: the node's and
// the broker's images, the services with what they are built on, their modules. What isn't there is built or pulled first.
func CreateBundle(ctx context.Context, file string, want Settings, dir string) (images.Bundle, error) {
	b, done, err := bundling(ctx, want, dir)
	if err != nil {
		return images.Bundle{}, err
	}
	defer done() //nolint:errcheck // nothing is lost with the connection
	node, err := nodeImages(b.session.docker, b.cache, nil).Resolve(ctx, "", false)
	if err != nil {
		return images.Bundle{}, err
	}
	rabbit, err := b.thirdParty().Resolve(ctx, brokerImage)
	if err != nil {
		return images.Bundle{}, err
	}
	p, err := images.NewPacker(ctx, b.session.docker, filepath.Join(b.cache, "images"), node.KubernetesVersion)
	if err != nil {
		return images.Bundle{}, err
	}
	defer p.Close()
	// Services first: what doesn't compile is found before anything large is read.
	if err := b.builders().Pack(ctx, p, b.workspace.found.Services); err != nil {
		return images.Bundle{}, err
	}
	progress.Report(ctx, progress.Update{What: "pack " + rabbit.Ref})
	if err := p.AddImage(ctx, images.BundleImage{Role: images.RoleBroker, Name: "broker", Wanted: rabbit.Wanted, Ref: rabbit.Ref}, rabbit.ID); err != nil {
		return images.Bundle{}, err
	}
	byTag, _, _ := strings.Cut(node.Ref, "@") // an archive gives images no names with a digest
	progress.Report(ctx, progress.Update{What: "pack " + byTag})
	if err := p.AddImage(ctx, images.BundleImage{Role: images.RoleNode, Name: "node", Ref: byTag}, node.Ref); err != nil {
		return images.Bundle{}, err
	}
	return p.Bundle(), p.Write(ctx, file)
}

// LoadBundle puts what a bundle holds to where a bring-up finds it, unless it is there.
func LoadBundle(ctx context.Context, file string) (images.BundleLoaded, error) {
	f, err := os.Open(file)
	if err != nil {
		return images.BundleLoaded{}, err
	}
	defer f.Close()
	cache, err := CacheDir()
	if err != nil {
		return images.BundleLoaded{}, err
	}
	if _, err := images.InspectBundle(f); err != nil { // what is none is found without an engine, too
		return images.BundleLoaded{}, fmt.Errorf("load %s: %w", file, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return images.BundleLoaded{}, err
	}
	docker, err := engine.Connect(ctx)
	if err != nil {
		return images.BundleLoaded{}, err
	}
	defer docker.Close()
	report, err := images.LoadBundle(ctx, docker, filepath.Join(cache, "images"), f)
	if err != nil {
		return report, fmt.Errorf("load %s: %w", file, err)
	}
	return report, nil
}

// InspectBundle returns what a bundle says that it holds.
func InspectBundle(file string) (images.Bundle, error) {
	f, err := os.Open(file)
	if err != nil {
		return images.Bundle{}, err
	}
	defer f.Close()
	b, err := images.InspectBundle(f)
	if err != nil {
		return b, fmt.Errorf("read %s: %w", file, err)
	}
	return b, nil
}
