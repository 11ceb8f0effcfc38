package cluster

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"slices"
	"text/template"
)

const (
	// PolicySensitive is the name of the admission policy that tells services what is sensitive. Like [PolicyDatasets] it
	// comes and goes with what there is.
	PolicySensitive = "sensitive.dynsandbox.dev"

	// AnnotationSensitive tells, on a Pod whose services were told, by which version of the policy.
	AnnotationSensitive = "dev.dynsandbox/sensitive"
)

// Sensitive is what services that read data sets have to know, whoever makes their Pods. Images are references with tags,
// normalised.
type Sensitive struct {
	Datasets    string              // a JSON list of data sets, with their sensitive columns; "": nothing is sensitive
	Namespaces  []string            // of the parties
	Readers     []string            // images of the services
	Anonymizers map[string][]string // images of those that make columns anonymous, and which
}

func (s Sensitive) none() bool {
	return s.Datasets == "" || len(s.Readers) == 0 || len(s.Namespaces) == 0
}

//go:embed sensitive.yaml
var sensitiveManifest string

var sensitiveTemplate = template.Must(template.New("sensitive.yaml").Parse(sensitiveManifest))

// policy returns the admission policy and its binding, and what tells it from those for others.
func (s Sensitive) policy() (objects []Object, version string, err error) {
	readers := []string{probeImage}
	for _, ref := range s.Readers {
		readers = append(readers, spellings(ref)...)
	}
	anonymizers := map[string]string{} // an image to what it adds to a JSON list
	for ref, columns := range s.Anonymizers {
		if len(columns) == 0 {
			continue
		}
		list, err := json.Marshal(columns)
		if err != nil {
			return nil, "", err
		}
		for _, image := range spellings(ref) {
			anonymizers[image] = string(list[1 : len(list)-1])
		}
	}
	values := map[string]string{}
	sum := sha256.New()
	sum.Write([]byte(sensitiveManifest))
	for _, v := range []struct {
		name  string
		value any
	}{
		{"Datasets", s.Datasets},
		{"Namespaces", append(slices.Clone(s.Namespaces), probe.Namespace)},
		{"Readers", readers},
		{"Anonymizers", anonymizers},
	} {
		b, err := json.Marshal(v.value) // such a literal is CEL, too
		if err != nil {
			return nil, "", err
		}
		values[v.name] = string(b)
		sum.Write(append(b, 0))
	}
	values["Version"] = hex.EncodeToString(sum.Sum(nil)[:8])
	objects, err = policyOf(sensitiveTemplate, values)
	return objects, values["Version"], err
}

// SetSensitive has the services in all Pods that are made from now on told what is sensitive, whoever makes them. It
// returns when that is so.
func (c *Client) SetSensitive(ctx context.Context, s Sensitive) error {
	p := comingPolicy{name: PolicySensitive, annotation: AnnotationSensitive, what: "sensitive columns"}
	if s.none() {
		return c.removePolicy(ctx, p)
	}
	objects, version, err := s.policy()
	if err != nil {
		return err
	}
	return c.setPolicy(ctx, p, objects, version)
}
