package envoy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	// The messages that stand inside an Any of a snapshot: without them a dump
	// could not be written as JSON.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/request_id/uuid/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
)

// ConfigDump is the snapshot as Envoy's admin endpoint /config_dump?include_eds
// shows it: clusters, endpoints, listeners, routes and, if there are any,
// secrets, all of them dynamic and all last updated at the time applied.
// Private keys are redacted.
func ConfigDump(s *Snapshot, applied time.Time) *adminv3.ConfigDump {
	version, at := s.Version(), timestamppb.New(applied)
	clusters := &adminv3.ClustersConfigDump{VersionInfo: version}
	for _, c := range s.Clusters {
		clusters.DynamicActiveClusters = append(clusters.DynamicActiveClusters,
			&adminv3.ClustersConfigDump_DynamicCluster{VersionInfo: version, Cluster: packed(c), LastUpdated: at})
	}
	endpoints := &adminv3.EndpointsConfigDump{}
	for _, e := range s.Endpoints {
		endpoints.DynamicEndpointConfigs = append(endpoints.DynamicEndpointConfigs,
			&adminv3.EndpointsConfigDump_DynamicEndpointConfig{VersionInfo: version, EndpointConfig: packed(e), LastUpdated: at})
	}
	listeners := &adminv3.ListenersConfigDump{VersionInfo: version}
	for _, l := range s.Listeners {
		listeners.DynamicListeners = append(listeners.DynamicListeners, &adminv3.ListenersConfigDump_DynamicListener{
			Name: l.GetName(),
			ActiveState: &adminv3.ListenersConfigDump_DynamicListenerState{
				VersionInfo: version, Listener: packed(l), LastUpdated: at,
			},
		})
	}
	routes := &adminv3.RoutesConfigDump{}
	for _, r := range s.Routes {
		routes.DynamicRouteConfigs = append(routes.DynamicRouteConfigs,
			&adminv3.RoutesConfigDump_DynamicRouteConfig{VersionInfo: version, RouteConfig: packed(r), LastUpdated: at})
	}
	out := &adminv3.ConfigDump{Configs: []*anypb.Any{packed(clusters), packed(endpoints), packed(listeners), packed(routes)}}
	if len(s.Secrets) > 0 {
		out.Configs = append(out.Configs, packed(secretsDump(s, version, at)))
	}
	return out
}

// SelectResource keeps of a dump the entries of one repeated field, as Envoy's
// ?resource= does: "dynamic_route_configs" gives one config for each of them.
func SelectResource(dump *adminv3.ConfigDump, field string) (*adminv3.ConfigDump, error) {
	for _, c := range dump.GetConfigs() {
		m, err := c.UnmarshalNew()
		if err != nil {
			return nil, fmt.Errorf("reading %s of the dump: %w", c.GetTypeUrl(), err)
		}
		r := m.ProtoReflect()
		for i := range r.Descriptor().Fields().Len() {
			fd := r.Descriptor().Fields().Get(i)
			if string(fd.Name()) != field || !fd.IsList() || fd.Message() == nil {
				continue
			}
			out, list := &adminv3.ConfigDump{}, r.Get(fd).List()
			for j := range list.Len() {
				out.Configs = append(out.Configs, packed(list.Get(j).Message().Interface()))
			}
			return out, nil
		}
	}
	return nil, fmt.Errorf("%s not found in config dump", field)
}

// MarshalDump writes a dump, or any part of one, as Envoy prints it: JSON with
// the names of the proto fields. Equal messages give equal bytes.
func MarshalDump(m proto.Message) ([]byte, error) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("writing the config dump: %w", err)
	}
	// protojson varies its white space on purpose, so it is set anew.
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", " "); err != nil {
		return nil, fmt.Errorf("writing the config dump: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// packed puts a message into an Any, its bytes always the same.
func packed(m proto.Message) *anypb.Any {
	a := &anypb.Any{}
	if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		// Strings of a snapshot are valid UTF-8: translate and the xDS decoder
		// both see to it.
		panic("envoy: internal error: " + err.Error())
	}
	return a
}
