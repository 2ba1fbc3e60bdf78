package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Options say how to read a configuration.
type Options struct {
	// Namespace is for objects that name none; empty: "default".
	Namespace string
	// Endpoints are the values of --endpoint: "httpbin/v1=127.0.0.1:28001",
	// "httpbin:8000=127.0.0.1:28001", "httpbin.other.svc.cluster.local=…".
	Endpoints []string
	// MeshConfig is the path of the mesh configuration file that Load reads;
	// empty: Istio's defaults. Parse is given the file instead.
	MeshConfig string
}

// Load is that of a new Loader.
func Load(paths []string, stdin io.Reader, opt Options) (*Set, []Problem) {
	return new(Loader).Load(paths, stdin, opt)
}

// Parse is that of a new Loader.
func Parse(files []File, mesh *File, opt Options) (*Set, []Problem) {
	return new(Loader).Parse(files, mesh, opt)
}

// parser puts a Set together.
type parser struct {
	set      *Set
	problems []Problem
	reader   *reader
	seen     map[string]Position // objects by group, kind, namespace and name
	skipped  []skippedKind       // of the file at hand
}

// skippedKind counts the objects of a kind that Sundog does not read.
type skippedKind struct {
	kind  string
	count int
	first Position
	hint  string
}

func (p *parser) report(problem Problem) { p.problems = append(p.problems, problem) }

// namespace is the one that the options give to objects that name none.
func (p *parser) namespace(opt Options) string {
	namespace := cmp.Or(opt.Namespace, metav1.NamespaceDefault)
	if len(validation.IsDNS1123Label(namespace)) == 0 {
		return namespace
	}
	p.report(Problem{
		Severity: Error, Position: Position{File: "--namespace"},
		Message: fmt.Sprintf("%q is not a valid namespace; it takes %s", strict.Shorten(namespace), namespaceRule),
	})
	return metav1.NamespaceDefault
}

// file adds what the documents of a file mean.
func (p *parser) file(f File, read func(file string, text strict.Text) *piece) {
	texts, fault := strict.Split(f.Data)
	if fault != nil {
		p.report(problemOf(f.Name, *fault))
	}
	p.skipped = nil
	for _, text := range texts {
		pc := read(f.Name, text)
		p.problems = append(p.problems, pc.syntax...)
		for i := range pc.found {
			p.add(&pc.found[i])
		}
	}
	for _, s := range p.skipped {
		objects := "1 object"
		if s.count > 1 {
			objects = fmt.Sprintf("%d objects", s.count)
		}
		p.report(Problem{Severity: Note, Position: s.first, Message: fmt.Sprintf("kind %s (%s) is not read by Sundog; skipped", s.kind, objects), Hint: s.hint})
	}
}

// add adds an object, and refuses one that came before.
func (p *parser) add(f *found) {
	if f.skipped != "" {
		p.skip(f)
		return
	}
	key := f.group + " " + f.name
	if first, ok := p.seen[key]; ok && f.name != "" {
		p.report(Problem{
			Severity: Error, Position: f.Position, Object: f.name, Message: fmt.Sprintf("the same object twice: it is also at %s", first),
			Hint: "keep one of the two, or give one another name or namespace",
		})
		return
	}
	p.seen[key] = f.Position
	p.problems = append(p.problems, f.problems...)
	if f.object != nil {
		f.object.addTo(p.set)
	}
}

func (p *parser) skip(f *found) {
	for i := range p.skipped {
		if p.skipped[i].kind == f.skipped {
			p.skipped[i].count++
			return
		}
	}
	p.skipped = append(p.skipped, skippedKind{f.skipped, 1, f.Position, f.hint})
}

// sort puts the objects in the order of their names, and the Problems in that
// of the input.
func (p *parser) sort(files []File, mesh *File) {
	sortObjects(p.set.VirtualServices)
	sortObjects(p.set.DestinationRules)
	sortObjects(p.set.Gateways)
	sortObjects(p.set.ServiceEntries)
	sortObjects(p.set.WorkloadEntries)
	sortObjects(p.set.HTTPRoutes)
	sortObjects(p.set.KubeGateways)
	sortObjects(p.set.ReferenceGrants)
	sortObjects(p.set.ShadowPolicies)
	sortObjects(p.set.Services)
	sortObjects(p.set.Deployments)
	sortObjects(p.set.EndpointSlices)
	sortObjects(p.set.Endpoints)
	sortObjects(p.set.Pods)
	sortObjects(p.set.Secrets)
	order := map[string]int{}
	for i, f := range files {
		if _, ok := order[f.Name]; !ok {
			order[f.Name] = i - len(files)
		}
	}
	if mesh != nil && order[mesh.Name] == 0 {
		order[mesh.Name] = 0 // after the files, before the flags
	}
	rank := func(q Problem) int {
		if i, ok := order[q.Position.File]; ok {
			return i
		}
		return 1
	}
	slices.SortStableFunc(p.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Position.Line, b.Position.Line), cmp.Compare(a.Position.Column, b.Position.Column))
	})
}

func sortObjects[T any](l []*Object[T]) {
	slices.SortStableFunc(l, func(a, b *Object[T]) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
