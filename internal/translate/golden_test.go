package translate_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"sigs.k8s.io/yaml"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/translate"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata and docs/support.md")

const maxGoldenLines = 120

// TestGolden translates the in.yaml of each case in testdata and compares what
// the case has: out.routes.yaml, out.clusters.yaml, out.endpoints.yaml,
// out.listeners.yaml and out.secrets.yaml, as far as the lines of "select" pick them, and
// problems.txt, which may be missing only when there are no problems.
func TestGolden(t *testing.T) {
	for _, file := range goldenFiles(t) {
		t.Run(caseName(file), func(t *testing.T) {
			c := readCase(t, file)
			snapshot, problems := c.translate()
			if c.update(t, snapshot, problems) {
				return
			}
			for _, f := range c.archive.Files {
				if kind, ok := outputKind(f.Name); ok {
					want, got := string(f.Data), c.output(t, snapshot, kind)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s (-want +got):\n%s", f.Name, diff)
					}
				}
			}
			if diff := cmp.Diff(c.part("problems.txt"), problemText(problems)); diff != "" {
				t.Errorf("problems.txt (-want +got):\n%s", diff)
			}
			if n := strings.Count(string(txtar.Format(c.archive)), "\n"); n > maxGoldenLines {
				t.Errorf("the case has %d lines, more than the %d that one reads through", n, maxGoldenLines)
			}
		})
	}
}

func goldenFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	return files
}

func caseName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".txtar") }

// A goldenCase is one txtar file.
type goldenCase struct {
	file    string
	archive *txtar.Archive
	set     *config.Set
	options translate.Options
	loaded  []config.Problem
}

func readCase(t testing.TB, file string) *goldenCase {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &goldenCase{file: file, archive: archive}
	var read config.Options
	read, c.options = parseFlags(t, c.part("flags"))
	var mesh *config.File
	if m := c.part("mesh.yaml"); m != "" {
		mesh = &config.File{Name: "mesh.yaml", Data: []byte(m)}
	}
	var made made
	if strings.Contains(string(txtar.Format(archive)), "CERT-") {
		made = newCredentials(t)
	}
	c.set, c.loaded = config.Parse([]config.File{{Name: "in.yaml", Data: []byte(made.base64(c.part("in.yaml")))}}, mesh, read)
	c.set.Files = made.files(c.part("files"))
	return c
}

func (c *goldenCase) part(name string) string {
	for _, f := range c.archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func (c *goldenCase) translate() (*envoy.Snapshot, []config.Problem) {
	s, problems := translate.Translate(c.set, c.options)
	return s, append(c.loaded[:len(c.loaded):len(c.loaded)], problems...)
}

// parseFlags reads the flags of sundog run that matter here, one a line.
func parseFlags(t testing.TB, text string) (config.Options, translate.Options) {
	t.Helper()
	var read config.Options
	opt := translate.Options{Outbound: "127.0.0.1:15001", ShadowHostSuffix: true}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		name, value, _ := strings.Cut(line, " ")
		switch name {
		case "":
		case "--gateway":
			opt.Gateway = map[string]string{}
			for _, pair := range strings.Split(value, ",") {
				k, v, _ := strings.Cut(pair, "=")
				opt.Gateway[k] = v
			}
		case "--publish":
			opt.Publish = append(opt.Publish, publish(t, value))
		case "--outbound":
			opt.Outbound = value
		case "--namespace":
			opt.Namespace, read.Namespace = value, value
		case "--endpoint":
			read.Endpoints = append(read.Endpoints, value)
		case "--locality":
			opt.Locality = value
		case "--access-log":
			opt.AccessLog = value
		case "--shadow-host-suffix=false":
			opt.ShadowHostSuffix = false
		default:
			t.Fatalf("unknown flag %q", line)
		}
	}
	return read, opt
}

func publish(t testing.TB, value string) translate.Publish {
	t.Helper()
	part := strings.Split(value, ":")
	number := func(s string) uint32 {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			t.Fatalf("--publish %s: %v", value, err)
		}
		return uint32(n)
	}
	p := translate.Publish{Port: number(part[len(part)-2]), GatewayPort: number(part[len(part)-1])}
	if len(part) == 3 {
		p.Host = part[0]
	}
	return p
}

func outputKind(name string) (string, bool) {
	kind, ok := strings.CutPrefix(name, "out.")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(kind, ".yaml")
}

// output writes one kind of resource as YAML. A line "routes NAME [VHOST]" of
// select keeps to one resource, or one of its virtual hosts; "only clusters
// name type" keeps to these fields of each, and "drop listeners a.b" leaves
// out what is at that path.
func (c *goldenCase) output(t testing.TB, s *envoy.Snapshot, kind string) string {
	t.Helper()
	var out []proto.Message
	selected := c.selection(kind)
	keep := func(name string, m proto.Message) {
		if _, ok := selected[name]; ok || len(selected) == 0 {
			out = append(out, m)
		}
	}
	switch kind {
	case "routes":
		for _, m := range s.Routes {
			if host := selected[m.GetName()]; host != "" {
				for _, v := range m.GetVirtualHosts() {
					if v.GetName() == host {
						out = append(out, v)
					}
				}
				continue
			}
			keep(m.GetName(), m)
		}
	case "clusters":
		for _, m := range s.Clusters {
			keep(m.GetName(), m)
		}
	case "endpoints":
		for _, m := range s.Endpoints {
			keep(m.GetClusterName(), m)
		}
	case "listeners":
		for _, m := range s.Listeners {
			keep(m.GetName(), m)
		}
	case "secrets":
		for _, m := range s.Secrets {
			keep(m.GetName(), m)
		}
	default:
		t.Fatalf("unknown output %q", kind)
	}
	return yamlOf(t, out, strings.Fields(c.selection("only")[kind]), strings.Fields(c.selection("drop")[kind]))
}

func (c *goldenCase) selection(kind string) map[string]string {
	out := map[string]string{}
	for _, line := range strings.Split(c.part("select"), "\n") {
		if word := strings.Fields(line); len(word) > 1 && word[0] == kind {
			out[word[1]] = strings.Join(word[2:], " ")
		}
	}
	return out
}

func yamlOf(t testing.TB, messages []proto.Message, only, drop []string) string {
	t.Helper()
	var b strings.Builder
	for i, m := range messages {
		m = proto.Clone(m)
		m.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			if len(only) > 0 && !slices.Contains(only, string(fd.Name())) {
				m.ProtoReflect().Clear(fd)
			}
			return true
		})
		raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := yaml.Unmarshal(raw, &tree); err != nil {
			t.Fatal(err)
		}
		for _, path := range drop {
			dropPath(tree, strings.Split(path, "."))
		}
		text, err := yaml.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(text)
	}
	return b.String()
}

// dropPath deletes what is at the path, in every element of a list on the way.
func dropPath(tree any, path []string) {
	switch v := tree.(type) {
	case []any:
		for _, e := range v {
			dropPath(e, path)
		}
	case map[string]any:
		if len(path) == 1 {
			delete(v, path[0])
			return
		}
		dropPath(v[path[0]], path[1:])
	}
}

func problemText(problems []config.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

// update rewrites the case when the flag asks for it. A case that has no
// output yet is given problems.txt only.
func (c *goldenCase) update(t *testing.T, s *envoy.Snapshot, problems []config.Problem) bool {
	t.Helper()
	if !*update {
		return false
	}
	var files []txtar.File
	for _, f := range c.archive.Files {
		if kind, ok := outputKind(f.Name); ok {
			f.Data = []byte(c.output(t, s, kind))
		}
		if f.Name != "problems.txt" {
			files = append(files, f)
		}
	}
	if text := problemText(problems); text != "" {
		files = append(files, txtar.File{Name: "problems.txt", Data: []byte(text)})
	}
	c.archive.Files = files
	if err := os.WriteFile(c.file, txtar.Format(c.archive), 0o644); err != nil {
		t.Fatal(err)
	}
	return true
}
