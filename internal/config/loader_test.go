package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/config"
	"pgregory.net/rapid"
)

// documents are texts that exercise all that a Loader remembers: %d makes
// objects of different names.
var documents = []string{
	"apiVersion: v1\nkind: Service\nmetadata: {name: a%d}\nspec: {ports: [{port: 80}]}\n",
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a%d}\nspec:\n  hosts: [a]\n  http:\n  - route: [{destination: {host: a}}]\n  - route: [{destination: {host: b}}]\n",
	"# no namespace, and the hosts are those of a delegate\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a%d}\nspec:\n  http:\n  - route: [{destination: {host: a}}]\n",
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: b%d}\nspec:\n  hosts: [b]\n  http:\n  - delegate: {name: a1}\n",
	"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a%d, namespace: web}\nspec:\n  host: a\n  unknown: 1\n  host: b\n",
	"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: [%d]}\nspec: {servers: 1}\n",
	"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a%d}\nspec: {parentRefs: [{name: g}], rules: [{matches: [{path: {value: a}}]}]}\n",
	"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g%d}\nspec: {gatewayClassName: a, listeners: [{name: a, port: 80, protocol: HTTP}, {name: a, port: 0}]}\n",
	"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a1}, spec: {}}\n- {apiVersion: v1, kind: Service, metadata: {name: c%d}, spec: {ports: [{port: 0}]}}\n",
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\n",
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata: {a: '%d'}\n",
	"apiVersion: v1\nkind: Secret\nmetadata: {name: s%d}\nstringData: {a: 1, b: two}\n",
	"apiVersion: v1\nkind: Service\n  metadata: {name: broken%d}\n",
	"- %d\n",
	"# a comment, %d\n",
}

// TestLoaderForgetsNothing: whatever was loaded before, a load gives what it
// gives from scratch.
func TestLoaderForgetsNothing(t *testing.T) {
	document := rapid.Custom(func(t *rapid.T) string {
		text := fmt.Sprintf(rapid.SampledFrom(documents).Draw(t, "document"), rapid.IntRange(1, 3).Draw(t, "name"))
		return strings.Repeat("# more\n", rapid.IntRange(0, 1).Draw(t, "comments")) + text
	})
	rapid.Check(t, func(t *rapid.T) {
		files := [][]string{rapid.SliceOfN(document, 0, 8).Draw(t, "file"), rapid.SliceOfN(document, 0, 8).Draw(t, "file")}
		var loader config.Loader
		for range rapid.IntRange(1, 6).Draw(t, "loads") {
			for range rapid.IntRange(0, 3).Draw(t, "edits") {
				edit(t, &files[rapid.IntRange(0, 1).Draw(t, "in")], document)
			}
			var in []config.File
			for i, documents := range files {
				in = append(in, config.File{Name: fmt.Sprintf("%d.yaml", i), Data: []byte(strings.Join(documents, "---\n"))})
			}
			if rapid.Bool().Draw(t, "turned") {
				slices.Reverse(in)
			}
			opt := config.Options{Namespace: rapid.SampledFrom([]string{"", "web", "No"}).Draw(t, "namespace")}
			set, problems := loader.Parse(in, nil, opt)
			want, wanted := config.Parse(in, nil, opt)
			if diff := cmp.Diff(wanted, problems); diff != "" {
				t.Fatalf("Problems (-from scratch +again):\n%s\nof:\n%s", diff, in)
			}
			if !equal(want, set) {
				t.Fatalf("the Set differs from one from scratch; of:\n%s", in)
			}
		}
	})
}

func edit(t *rapid.T, file *[]string, document *rapid.Generator[string]) {
	f := *file
	at := rapid.IntRange(0, len(f)).Draw(t, "at")
	switch what := rapid.IntRange(0, 3).Draw(t, "edit"); {
	case what == 0 || at == len(f):
		f = slices.Insert(f, at, document.Draw(t, "new"))
	case what == 1:
		f = slices.Delete(f, at, at+1)
	case what == 2:
		f[at] = document.Draw(t, "new")
	default:
		to := rapid.IntRange(0, len(f)-1).Draw(t, "to")
		f[at], f[to] = f[to], f[at]
	}
	*file = f
}

// TestLoaderShares: the object of an unchanged document has the same Spec, and
// its fields are found where they stand now.
func TestLoaderShares(t *testing.T) {
	const one, two = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports: [{port: 80}]\n", "apiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec:\n  ports: [{port: %d}]\n"
	var loader config.Loader
	load := func(text string) *config.Set {
		set, problems := loader.Parse([]config.File{inline(text)}, nil, config.Options{})
		if len(problems) > 0 {
			t.Fatalf("Problems: %s", list(problems))
		}
		return set
	}
	first := load("---\n" + one + "---\n" + fmt.Sprintf(two, 80))
	again := load("---\n" + fmt.Sprintf(two, 81) + "---\n" + one)
	if first.Services[0].Spec != again.Services[0].Spec {
		t.Error("the Service a was read again")
	}
	if port := again.Services[1].Spec.Spec.Ports[0].Port; port != 81 {
		t.Errorf("the Service b has the port %d", port)
	}
	for set, want := range map[*config.Set]int{first: 6, again: 12} {
		if got := set.Services[0].Source.At("spec.ports").Line; got != want {
			t.Errorf("its ports are on line %d, want %d", got, want)
		}
	}
}
