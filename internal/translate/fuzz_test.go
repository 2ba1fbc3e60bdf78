package translate_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/translate"
)

func epoch() time.Time { return time.Unix(0, 0).UTC() }

// FuzzTranslate wants no input to make the loader and Translate panic, none to
// give two results, and each snapshot to be one that can be shown.
func FuzzTranslate(f *testing.F) {
	seeds, words := 0, newCredentials(f)
	for _, file := range goldenFiles(f) {
		c := readCase(f, file)
		f.Add([]byte(words.base64(c.part("in.yaml"))), []byte(c.part("mesh.yaml")))
		seeds++
	}
	files, err := filepath.Glob(examples + "/*/*.yaml")
	if err != nil || seeds == 0 || len(files) == 0 {
		f.Fatalf("no seeds: %d cases, %d examples, %v", seeds, len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte(nil))
	}
	opt := translate.Options{Gateway: map[string]string{"istio": "ingressgateway"}, Outbound: "127.0.0.1:15001"}
	f.Fuzz(func(t *testing.T, in, mesh []byte) {
		run := func() (*envoy.Snapshot, string) {
			set, problems := config.Parse(
				[]config.File{{Name: "in.yaml", Data: in}}, &config.File{Name: "mesh.yaml", Data: mesh},
				config.Options{Endpoints: []string{"httpbin/v1=127.0.0.1:1"}})
			s, more := translate.Translate(set, opt)
			return s, problemText(append(problems, more...))
		}
		s1, p1 := run()
		s2, p2 := run()
		if p1 != p2 {
			t.Errorf("two runs, two lists of problems:\n%s\n%s", p1, p2)
		}
		if s1.Version() != s2.Version() {
			t.Errorf("two runs, two snapshots:\n%s\n%s", dump(t, s1), dump(t, s2))
		}
		dump(t, s1)
	})
}
