package sundog_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sundog-mesh/sundog/"

// mayImport is who of the project may import whom. A package that is not here
// may import nothing of the project.
var mayImport = map[string][]string{
	"bench":             {"internal/certtest", "internal/evidence"}, // tests may import it, too; they are free to import anything
	"cmd/sundog":        {"internal/cli"},
	"internal/admin":    {"internal/envoy", "internal/mirror", "internal/proxy", "internal/report"},
	"internal/certtest": {},
	"internal/cli":      {"*"},
	"internal/config": { // those that compile what a ShadowPolicy says check it, too
		"api/v1alpha1", "internal/compare", "internal/config/strict", "internal/filter", "internal/policy", "internal/redact",
	},
	"internal/config/strict": {},
	"internal/demo": {
		"examples", "internal/admin", "internal/config", "internal/envoy", "internal/judge", "internal/mirror", "internal/proxy",
		"internal/report", "internal/telemetry", "internal/traffic", "internal/translate",
	},
	"internal/envoy":       {},
	"internal/gatewayapi":  {"internal/config"},
	"internal/http1":       {"internal/traffic"},
	"internal/http2":       {"internal/http1", "internal/http2/hpack", "internal/traffic"},
	"internal/http2/hpack": {"internal/http1", "internal/traffic"},
	"internal/overload":    {},
	"internal/proxyproto":  {},
	"internal/tlsconn":     {"internal/loop"},
	"internal/loop":        {"internal/priority"},
	"internal/mirror":      {"internal/http1", "internal/loop", "internal/policy", "internal/redact", "internal/route", "internal/traffic", "internal/upstream"},
	"internal/policy":      {},
	"internal/priority":    {},
	"internal/redact":      {"internal/policy", "internal/traffic"},
	"internal/filter":      {"internal/traffic"},
	"internal/endpoint":    {},
	"internal/compare":     {},
	"internal/evidence":    {},
	"internal/report":      {"internal/evidence"},
	"internal/judge":       {"internal/compare", "internal/endpoint", "internal/evidence", "internal/policy", "internal/priority", "internal/redact", "internal/report", "internal/traffic"},
	"internal/proxy": {
		"internal/envoy", "internal/filter", "internal/http1", "internal/http2", "internal/loop", "internal/mirror", "internal/overload",
		"internal/policy", "internal/redact", "internal/route", "internal/tlsconn", "internal/traffic", "internal/upstream",
	},
	"internal/reflection":            {},
	"internal/route":                 {"internal/envoy", "internal/policy", "internal/traffic"},
	"internal/telemetry":             {"internal/envoy", "internal/mirror", "internal/proxy", "internal/report", "internal/traffic"},
	"internal/traffic":               {},
	"internal/translate":             {"api/v1alpha1", "internal/config", "internal/envoy", "internal/gatewayapi", "internal/policy", "internal/translate/credentials"},
	"internal/translate/credentials": {"internal/config"},
	"internal/upstream":              {"internal/http1", "internal/http2", "internal/loop", "internal/tlsconn", "internal/traffic"},
}

// only says which packages alone may import a module.
var only = map[string][]string{
	"istio.io/":                       {"internal/config", "internal/config/strict", "internal/gatewayapi", "internal/translate"},
	"k8s.io/":                         {"api/v1alpha1", "internal/config", "internal/config/strict", "internal/gatewayapi", "internal/translate"},
	"sigs.k8s.io/gateway-api":         {"internal/config", "internal/gatewayapi"},
	"github.com/prometheus/":          {"internal/telemetry"},
	"github.com/spf13/":               {"internal/cli"},
	"google.golang.org/grpc":          {"internal/reflection"},
	"github.com/mccutchen/go-httpbin": {"internal/demo"},
}

// standardOnly are the packages that import nothing but the standard library.
var standardOnly = []string{"internal/traffic"}

type source struct {
	dir  string // "internal/http1"
	name string
	file *ast.File
	test bool
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "tools" || strings.HasPrefix(d.Name(), ".") && name != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{path.Dir(filepath.ToSlash(name)), name, f, strings.HasSuffix(name, "_test.go")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, spec := range s.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, ok := strings.CutPrefix(imported, module); ok {
				allowed := mayImport[s.dir]
				if !slices.Contains(allowed, own) && !slices.Contains(allowed, "*") {
					t.Errorf("%s imports %s; see mayImport and ARCHITECTURE.md", s.name, own)
				}
				continue
			}
			for prefix, who := range only {
				if strings.HasPrefix(imported, prefix) && !slices.Contains(who, s.dir) {
					t.Errorf("%s imports %s, which is for %v alone", s.name, imported, who)
				}
			}
			if slices.Contains(standardOnly, s.dir) && strings.Contains(imported, ".") {
				t.Errorf("%s imports %s; the package is for the standard library only", s.name, imported)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	has := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test {
			has[s.dir] = has[s.dir] || s.file.Doc != nil
		}
	}
	for dir, ok := range has {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// TestNoInit keeps work out of program start-up.
func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", s.name)
			}
		}
	}
}
