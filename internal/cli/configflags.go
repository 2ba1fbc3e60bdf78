package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/telemetry"
	"github.com/sundog-mesh/sundog/internal/translate"
)

// configFlags are the flags that say what the configuration is. run, validate
// and config-dump share them, so that all three judge alike.
type configFlags struct {
	files         []string
	meshConfig    string
	namespace     string
	clusterDomain string
	locality      string
	endpoints     []string

	gateway          labelsValue
	publish          publishValue
	outbound         string
	accessLog        string
	shadowHostSuffix bool
}

func (c *configFlags) add(fs *pflag.FlagSet) {
	fs.SortFlags = false // they come in the order in which one needs them
	fs.StringArrayVarP(&c.files, "filename", "f", nil, "`PATH` of a YAML or JSON file, of a folder of them, or - for stdin; repeatable")
	fs.StringVar(&c.meshConfig, "mesh-config", "", "`FILE` with Istio's MeshConfig, bare or in the istio ConfigMap")
	fs.StringVar(&c.namespace, "namespace", "default", "`NAME` of the proxy's own namespace, and of objects that name none")
	fs.StringVar(&c.clusterDomain, "cluster-domain", "cluster.local", "`DOMAIN` of Kubernetes services")
	fs.StringVar(&c.locality, "locality", "", "`REGION/ZONE/SUBZONE` of the proxy, for localityLbSetting (default: the topology labels of --gateway)")
	fs.StringArrayVar(&c.endpoints, "endpoint", nil, "`HOST[:PORT][/SUBSET]=IP:PORT`, an endpoint instead of the files' endpoints; repeatable")

	c.gateway = labelsValue{"istio": "ingressgateway"}
	fs.Var(&c.gateway, "gateway", "serve the Gateways whose selector fits these labels; empty: none")
	fs.Var(&c.publish, "publish", "bind a Gateway's port elsewhere; repeatable; PORT 0 is any free one")
	fs.StringVar(&c.outbound, "outbound", "127.0.0.1:15001", "`ADDRESS` of the mesh's outbound listener, an HTTP proxy; empty: none")
	fs.StringVar(&c.accessLog, "access-log", "", "`FILE` for the access log, - for stdout (default: as MeshConfig.accessLogFile says)")
	fs.BoolVar(&c.shadowHostSuffix, "shadow-host-suffix", true, "append -shadow to the Host of shadows")
}

// source is everything that the configuration is made of; its standard input
// has been read, so it can be loaded again and again. What has not changed since
// the last time costs little then.
type source struct {
	flags      configFlags
	stdin      []byte
	loader     config.Loader
	translator translate.Translator
}

// source checks the flags and reads standard input, if it is asked for.
func (c *configFlags) source(command string, stdin io.Reader) (*source, error) {
	if len(c.files) == 0 {
		return nil, usageError(errors.New("no configuration is given"), "name it with -f, like 'sundog "+command+" -f examples/in-cluster'")
	}
	if strings.HasPrefix(c.outbound, "localhost:") {
		c.outbound = "127.0.0.1" + strings.TrimPrefix(c.outbound, "localhost")
	}
	s := &source{flags: *c}
	for _, f := range append(c.files[:len(c.files):len(c.files)], c.meshConfig) {
		if f != "-" || s.stdin != nil {
			continue
		}
		data, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		s.stdin = append([]byte{}, data...)
	}
	return s, nil
}

// loaded is a configuration, good or bad.
type loaded struct {
	objects  int
	snapshot *envoy.Snapshot
	problems []config.Problem
	// credentials are the files of certificates and keys that it names.
	credentials []string
	named       []policyFile // by its ShadowPolicies
	contents    string       // of the named files, by contentsOf
}

// watched are the files that it names.
func (l *loaded) watched() []string {
	all := l.credentials
	for _, f := range l.named {
		all = append(all, f.path)
	}
	return all
}

// load reads the files and translates them. The snapshot is not to be used if
// there are errors among the problems.
func (s *source) load() loaded {
	set, problems := s.loader.Load(s.flags.files, bytes.NewReader(s.stdin), config.Options{
		Namespace: s.flags.namespace, Endpoints: s.flags.endpoints, MeshConfig: s.flags.meshConfig,
	})
	snapshot, more := s.translator.Translate(set, translate.Options{
		ClusterDomain: s.flags.clusterDomain, Namespace: s.flags.namespace,
		Gateway: s.flags.gateway, Locality: s.flags.locality, Publish: s.flags.publish, Outbound: s.flags.outbound,
		ShadowHostSuffix: s.flags.shadowHostSuffix, AccessLog: s.flags.accessLog,
	})
	named := policyFiles(set)
	problems = once(append(append(problems, more...), unreadable(named)...))
	if err := telemetry.Check(snapshot); err != nil {
		problems = append(problems, config.Problem{
			Severity: config.Error, Position: config.Position{File: s.flags.meshConfig}, Object: "MeshConfig", Field: "accessLogFormat",
			Message: err.Error(), Hint: "the operators are those of Envoy's access log, as far as they make sense for plain HTTP",
		})
	}
	credentials := set.CredentialFiles()
	if set.SystemRoots != "" {
		credentials = append(credentials, set.SystemRoots)
	}
	return loaded{objects: countObjects(set), snapshot: snapshot, problems: problems, credentials: credentials, named: named, contents: contentsOf(named)}
}

func countObjects(s *config.Set) int {
	return len(s.VirtualServices) + len(s.DestinationRules) + len(s.Gateways) + len(s.HTTPRoutes) + len(s.KubeGateways) + len(s.ReferenceGrants) + len(s.ServiceEntries) + len(s.WorkloadEntries) + len(s.ShadowPolicies) +
		len(s.Services) + len(s.Deployments) + len(s.EndpointSlices) + len(s.Endpoints) + len(s.Pods) + len(s.Secrets)
}

// printProblems prints all problems, and how many there are.
func printProblems(w io.Writer, problems []config.Problem) {
	if len(problems) == 0 {
		return
	}
	var counts [config.Note + 1]int
	for _, p := range problems {
		counts[p.Severity]++
		_, _ = fmt.Fprintln(w, p)
	}
	var parts []string
	for severity, n := range counts {
		if n > 0 {
			parts = append(parts, plural(n, config.Severity(severity).String()))
		}
	}
	_, _ = fmt.Fprintln(w, strings.Join(parts, ", "))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// errInvalid ends a command whose problems have been printed.
func errInvalid() error {
	return withHint(errors.New("the configuration has errors"), "see the lines above; 'sundog validate' checks without serving")
}
