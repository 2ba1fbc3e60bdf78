// Package translate turns the user's objects into the machine's configuration:
// a config.Set goes in, an envoy.Snapshot and the Problems that only show when
// objects are seen together come out.
//
// Names and shapes are Istio's, so that a config dump reads as istioctl's
// does. First the services of the set are indexed by host, with their ports,
// subsets and endpoints; then virtual services, and HTTPRoutes in the same shape
// from the package gatewayapi, become the route configurations of the mesh and of the gateways; then every service port and subset becomes
// a cluster. The certificates that listeners and clusters name come from the
// package credentials. Which fields are understood is data: support.txt.
//
// The package does no I/O, reads no clock and writes no log. Equal input gives
// equal bytes, whatever the order of the lists of the Set.
package translate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/gatewayapi"
	"github.com/sundog-mesh/sundog/internal/translate/credentials"
	"google.golang.org/protobuf/types/known/structpb"
	meshconfig "istio.io/api/mesh/v1alpha1"
	istio "istio.io/api/networking/v1alpha3"
)

// Options say which proxy the configuration is for.
type Options struct {
	// ClusterDomain is the domain of Kubernetes services; empty: cluster.local.
	ClusterDomain string
	// Namespace is the proxy's own; empty: default.
	Namespace string
	// Gateway holds the labels of the gateway that this proxy is; nil: it is
	// none and has no gateway listeners.
	Gateway map[string]string
	// Locality is where the proxy runs, "region/zone/subzone"; empty: what the
	// topology labels of Gateway say.
	Locality string
	// Publish says where ports of gateways are really bound. A port that is
	// not in it is bound as its Gateway has it, on all interfaces.
	Publish []Publish
	// Outbound is the address of the mesh's outbound listener,
	// "127.0.0.1:15001"; empty: no mesh listeners.
	Outbound string
	// ShadowHostSuffix leaves the -shadow on the Host of copies. False sets
	// disable_shadow_host_suffix_append, as Istio does since 1.28.
	ShadowHostSuffix bool
	// AccessLog is the file of the access log, "-" for /dev/stdout; empty:
	// MeshConfig.accessLogFile.
	AccessLog string
}

// Publish binds the port of a gateway somewhere else: --publish
// [HOST:]PORT:GATEWAYPORT. An empty Host is all interfaces.
type Publish struct {
	Host              string
	Port, GatewayPort uint32
}

// Translate makes the snapshot of a set and reports what is wrong across its
// objects, in the order of their positions. With an Error among the problems
// the snapshot is complete but not to be used. It changes neither argument.
func Translate(set *config.Set, opt Options) (*envoy.Snapshot, []config.Problem) {
	return new(Translator).Translate(set, opt)
}

func (t *translator) translate() (*envoy.Snapshot, []config.Problem) {
	t.indexServices()
	t.indexRules()
	t.indexEndpoints()
	t.kube = t.convert()
	t.indexPolicies()
	t.indexVirtualServices()
	t.mergeGateways()
	t.check()

	s := &envoy.Snapshot{}
	t.addMesh(s)
	t.addGateways(s)
	t.addClusters(s)
	s.Secrets = t.credentials.Secrets()
	s.Sort()
	t.checkRules()
	t.checkPolicies()
	t.checkSupport()
	return s, t.sortedProblems()
}

// translator holds the state of one translation.
type translator struct {
	opt  Options
	mesh *meshconfig.MeshConfig
	set  config.Set // sorted copies of the lists

	services  []*service // in the order of their hosts
	byHost    map[string]*service
	rules     map[string]hostRules // by host or wildcard of the rule
	wildRules []string             // those hosts that are wildcards, most specific first
	ruleCache map[*service]*rule
	workloads *workloads
	overrides map[*service][]override
	kube      gatewayapi.Result       // what the Gateway API's objects say
	routers   []*router               // the virtual services that have HTTP routes, oldest first; then those of kube
	delegates map[string]*routeObject // VirtualServices without hosts, by namespace/name
	policies  map[policyTarget]*attachment
	encoded   map[policyKey]*structpb.Struct
	meshHosts *meshHosts
	gateways  []*gatewayPort
	// credentials has the secrets that listeners and clusters name.
	credentials *credentials.Store
	problems    []config.Problem

	// What the last translation left, if it is of use, and what this one leaves.
	before, made *memory
}

func newTranslator(set *config.Set, opt Options) *translator {
	if opt.ClusterDomain == "" {
		opt.ClusterDomain = "cluster.local"
	}
	if opt.Namespace == "" {
		opt.Namespace = "default"
	}
	mesh := set.Mesh
	if mesh == nil {
		mesh = &meshconfig.MeshConfig{}
	}
	t := &translator{opt: opt, mesh: mesh, credentials: credentials.New(set, opt.Namespace), encoded: make(map[policyKey]*structpb.Struct)}
	t.set = config.Set{
		VirtualServices:  sorted(set.VirtualServices),
		DestinationRules: sorted(set.DestinationRules),
		Gateways:         sorted(set.Gateways),
		ServiceEntries:   sorted(set.ServiceEntries),
		WorkloadEntries:  sorted(set.WorkloadEntries),
		HTTPRoutes:       sorted(set.HTTPRoutes),
		KubeGateways:     sorted(set.KubeGateways),
		ReferenceGrants:  sorted(set.ReferenceGrants),
		ShadowPolicies:   sorted(set.ShadowPolicies),
		Services:         sorted(set.Services),
		Deployments:      sorted(set.Deployments),
		EndpointSlices:   sorted(set.EndpointSlices),
		Endpoints:        sorted(set.Endpoints),
		Pods:             sorted(set.Pods),
		Mesh:             mesh,
		Overrides:        slices.Clone(set.Overrides),
	}
	slices.SortFunc(t.set.Overrides, func(a, b config.EndpointOverride) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Subset, b.Subset),
			cmp.Compare(a.Port, b.Port), a.Addr.Compare(b.Addr))
	})
	return t
}

// sorted is a copy of the list in the order in which Istio lets objects win:
// the oldest first, and among equals by name and namespace.
func sorted[T any](in []*config.Object[T]) []*config.Object[T] {
	out := slices.Clone(in)
	slices.SortStableFunc(out, func(a, b *config.Object[T]) int {
		if c := cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Namespace, b.Namespace)); c != 0 {
			return c
		}
		return comparePositions(a.Source.At(""), b.Source.At(""))
	})
	return out
}

func comparePositions(a, b config.Position) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

func (t *translator) report(p config.Problem) { t.problems = append(t.problems, p) }

// sortedProblems are the problems in the order in which a reader of the files
// meets them, each once.
func (t *translator) sortedProblems() []config.Problem {
	slices.SortStableFunc(t.problems, func(a, b config.Problem) int {
		return cmp.Or(comparePositions(a.Position, b.Position), cmp.Compare(a.Object, b.Object),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(t.problems)
}

// fqdn completes a short name as Istio does: a name that holds a dot or is a
// wildcard stays as it is, whatever it may have meant.
func (t *translator) fqdn(name, namespace string) string {
	name = strings.ToLower(name)
	if name == "" || name == "*" || strings.ContainsAny(name, ".:") {
		return name
	}
	return name + "." + namespace + ".svc." + t.opt.ClusterDomain
}

// visible reports whether an object of the namespace is exported to the proxy.
func (t *translator) visible(exportTo []string, namespace string) bool {
	if len(exportTo) == 0 {
		return true
	}
	for _, to := range exportTo {
		if to == "*" || to == t.opt.Namespace || to == "." && namespace == t.opt.Namespace {
			return true
		}
	}
	return false
}

// A routeObject is a VirtualService as the user wrote it.
type routeObject = config.Object[*istio.VirtualService]
