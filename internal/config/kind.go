package config

import (
	"encoding/json"
	"reflect"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	istio "istio.io/api/networking/v1alpha3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const istioGroup = "networking.istio.io"

// kind is one kind of object that Sundog reads.
type kind struct {
	group    string
	name     string
	versions []string
	kube     bool
	shape    func(*strict.Shapes) *strict.Shape // of the whole object
	// read decodes what strict.Check has cleaned and checks the object by itself.
	// nil: the kind is accepted and of no use here.
	read func(h header, clean map[string]any) (object, error)
}

// header is what all objects have in common.
type header struct {
	Kind, APIVersion string
	meta             metav1.ObjectMeta
	r                *reporter
}

// kinds lists every kind that Sundog reads.
func kinds() []kind {
	return []kind{
		istioKind("VirtualService", func(s *Set) *[]*Object[*istio.VirtualService] { return &s.VirtualServices }, checkVirtualService),
		istioKind("DestinationRule", func(s *Set) *[]*Object[*istio.DestinationRule] { return &s.DestinationRules }, checkDestinationRule),
		istioKind("Gateway", func(s *Set) *[]*Object[*istio.Gateway] { return &s.Gateways }, checkGateway),
		istioKind("ServiceEntry", func(s *Set) *[]*Object[*istio.ServiceEntry] { return &s.ServiceEntries }, checkServiceEntry),
		istioKind("WorkloadEntry", func(s *Set) *[]*Object[*istio.WorkloadEntry] { return &s.WorkloadEntries }, checkWorkloadEntry),
		kubeKind("", "Service", func(s *Set) *[]*Object[*corev1.Service] { return &s.Services }, checkService),
		kubeKind("", "Endpoints", func(s *Set) *[]*Object[*corev1.Endpoints] { return &s.Endpoints }, checkEndpoints), //nolint:staticcheck // deprecated by Kubernetes, still in users' files
		kubeKind("", "Pod", func(s *Set) *[]*Object[*corev1.Pod] { return &s.Pods }, checkPod),
		kubeKind("", "Secret", func(s *Set) *[]*Object[*corev1.Secret] { return &s.Secrets }, checkSecret),
		kubeKind("apps", "Deployment", func(s *Set) *[]*Object[*appsv1.Deployment] { return &s.Deployments }, checkDeployment),
		kubeKind("discovery.k8s.io", "EndpointSlice", func(s *Set) *[]*Object[*discoveryv1.EndpointSlice] { return &s.EndpointSlices }, checkEndpointSlice),
		{
			name: "ServiceAccount", versions: []string{"v1"}, kube: true,
			shape: func(c *strict.Shapes) *strict.Shape { return c.Type(reflect.TypeFor[corev1.ServiceAccount]()) },
		},
		gatewayKind("HTTPRoute", func(s *Set) *[]*Object[*gatewayv1.HTTPRouteSpec] { return &s.HTTPRoutes }, checkKubeRoute),
		gatewayKind("Gateway", func(s *Set) *[]*Object[*gatewayv1.GatewaySpec] { return &s.KubeGateways }, checkKubeGateway),
		gatewayKind("ReferenceGrant", func(s *Set) *[]*Object[*gatewayv1.ReferenceGrantSpec] { return &s.ReferenceGrants }, func(*reporter, *Object[*gatewayv1.ReferenceGrantSpec]) {}),
		{
			group: gatewayGroup, name: "GatewayClass", versions: []string{"v1", "v1beta1"},
			shape: func(c *strict.Shapes) *strict.Shape { return c.Type(reflect.TypeFor[gatewayv1.GatewayClass]()) },
		},
		shadowPolicyKind(),
	}
}

// protoObject is a pointer to a generated protobuf struct.
type protoObject[M any] interface {
	*M
	proto.Message
}

func istioKind[M any, T protoObject[M]](name string, list func(*Set) *[]*Object[T], check func(*reporter, *Object[T])) kind {
	return kind{
		group: istioGroup, name: name, versions: []string{"v1", "v1beta1", "v1alpha3"},
		shape: func(c *strict.Shapes) *strict.Shape {
			return strict.Object(
				strict.Named{Name: "apiVersion", Shape: strict.String()},
				strict.Named{Name: "kind", Shape: strict.String()},
				strict.Named{Name: "metadata", Shape: c.Type(reflect.TypeFor[metav1.ObjectMeta]())},
				strict.Named{Name: "spec", Shape: c.Message(T(new(M)).ProtoReflect().Descriptor())},
			)
		},
		read: func(h header, clean map[string]any) (object, error) {
			spec := T(new(M))
			if clean["spec"] != nil {
				data, err := json.Marshal(clean["spec"])
				if err != nil {
					return nil, err
				}
				if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, spec); err != nil {
					return nil, err
				}
			}
			return newObject(h, spec, list, check), nil
		},
	}
}

func kubeKind[K any](group, name string, list func(*Set) *[]*Object[*K], check func(*reporter, *Object[*K])) kind {
	return kind{
		group: group, name: name, versions: []string{"v1"}, kube: true,
		shape: func(c *strict.Shapes) *strict.Shape { return c.Type(reflect.TypeFor[K]()) },
		read: func(h header, clean map[string]any) (object, error) {
			data, err := json.Marshal(clean)
			if err != nil {
				return nil, err
			}
			spec := new(K)
			if err := json.Unmarshal(data, spec); err != nil {
				return nil, err
			}
			if m, ok := any(spec).(metav1.Object); ok {
				m.SetNamespace(h.meta.Namespace)
			}
			return newObject(h, spec, list, check), nil
		},
	}
}

// object is an Object of any kind.
type object interface {
	addTo(*Set)
	// moved is the same object when its text stands elsewhere.
	moved(file string, lines int) object
}

// listed is an Object that knows its list in a Set.
type listed[T any] struct {
	*Object[T]
	list func(*Set) *[]*Object[T]
}

func newObject[T any](h header, spec T, list func(*Set) *[]*Object[T], check func(*reporter, *Object[T])) object {
	o := &Object[T]{
		Kind: h.Kind, APIVersion: h.APIVersion, Namespace: h.meta.Namespace, Name: h.meta.Name,
		Labels: h.meta.Labels, Annotations: h.meta.Annotations, Created: h.meta.CreationTimestamp.Time,
		Spec: spec, Source: h.r.source,
	}
	check(h.r, o)
	return listed[T]{o, list}
}

func (o listed[T]) addTo(s *Set) {
	l := o.list(s)
	*l = append(*l, o.Object)
}

func (o listed[T]) moved(file string, lines int) object {
	c := *o.Object
	c.Source = c.Source.moved(file, lines)
	return listed[T]{&c, o.list}
}
