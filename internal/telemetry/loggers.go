package telemetry

import (
	"fmt"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	fileal "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamal "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sundog-mesh/sundog/internal/envoy"
)

// envoyDefault is the format of an access logger that names none.
const envoyDefault = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ` +
	`%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ` +
	`%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
	`"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

// foundLogger is an access logger of a listener, compiled.
type foundLogger struct {
	listener string
	path     string
	format   *Format
}

// readLoggers collects the access loggers of every HTTP connection manager of
// the snapshot. Filter chains of one listener that log alike count once.
func readLoggers(s *envoy.Snapshot) ([]foundLogger, error) {
	var found []foundLogger
	for _, l := range s.Listeners {
		var seen []*accesslog.AccessLog
		chains := l.GetFilterChains()
		if d := l.GetDefaultFilterChain(); d != nil {
			chains = append(chains[:len(chains):len(chains)], d)
		}
		for _, chain := range chains {
			logs, err := chainLogs(chain)
			if err != nil {
				return nil, fmt.Errorf("listener %q: %w", l.GetName(), err)
			}
			for _, a := range logs {
				if contains(seen, a) {
					continue
				}
				seen = append(seen, a)
				f, err := compileLogger(a)
				if err != nil {
					return nil, fmt.Errorf("access log of listener %q: %w", l.GetName(), err)
				}
				f.listener = l.GetName()
				found = append(found, f)
			}
		}
	}
	return found, nil
}

func contains(seen []*accesslog.AccessLog, a *accesslog.AccessLog) bool {
	for _, s := range seen {
		if proto.Equal(s, a) {
			return true
		}
	}
	return false
}

func chainLogs(chain *listener.FilterChain) ([]*accesslog.AccessLog, error) {
	var logs []*accesslog.AccessLog
	for _, f := range chain.GetFilters() {
		manager := new(hcm.HttpConnectionManager)
		if !f.GetTypedConfig().MessageIs(manager) {
			continue
		}
		if err := f.GetTypedConfig().UnmarshalTo(manager); err != nil {
			return nil, fmt.Errorf("reading filter %q: %w", f.GetName(), err)
		}
		logs = append(logs, manager.GetAccessLog()...)
	}
	return logs, nil
}

// compileLogger compiles one access logger of type file, stdout or stderr.
func compileLogger(a *accesslog.AccessLog) (foundLogger, error) {
	if a.GetFilter() != nil {
		return foundLogger{}, fmt.Errorf("logger %q: filters of access logs are not supported", a.GetName())
	}
	path, format, err := logFormat(a.GetTypedConfig())
	if err != nil {
		return foundLogger{}, fmt.Errorf("logger %q: %w", a.GetName(), err)
	}
	compiled, err := compileFormat(format)
	if err != nil {
		return foundLogger{}, err
	}
	return foundLogger{path: path, format: compiled}, nil
}

func logFormat(config *anypb.Any) (path string, format *core.SubstitutionFormatString, err error) {
	message, err := config.UnmarshalNew()
	if err != nil {
		return "", nil, err
	}
	switch m := message.(type) {
	case *fileal.FileAccessLog:
		path, format = m.GetPath(), m.GetLogFormat()
		switch f := m.GetAccessLogFormat().(type) {
		case *fileal.FileAccessLog_Format:
			format = textFormat(f.Format)
		case *fileal.FileAccessLog_JsonFormat:
			format = &core.SubstitutionFormatString{Format: &core.SubstitutionFormatString_JsonFormat{JsonFormat: f.JsonFormat}}
		case *fileal.FileAccessLog_TypedJsonFormat:
			format = &core.SubstitutionFormatString{Format: &core.SubstitutionFormatString_JsonFormat{JsonFormat: f.TypedJsonFormat}}
		}
		if path == "" {
			return "", nil, fmt.Errorf("path is empty")
		}
	case *streamal.StdoutAccessLog:
		path, format = "/dev/stdout", m.GetLogFormat()
	case *streamal.StderrAccessLog:
		path, format = "/dev/stderr", m.GetLogFormat()
	default:
		return "", nil, fmt.Errorf("%s is not supported: only file, stdout and stderr are", message.ProtoReflect().Descriptor().FullName())
	}
	return path, format, nil
}

func textFormat(s string) *core.SubstitutionFormatString {
	return &core.SubstitutionFormatString{Format: &core.SubstitutionFormatString_TextFormatSource{
		TextFormatSource: &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: s}},
	}}
}

func compileFormat(f *core.SubstitutionFormatString) (*Format, error) {
	switch k := f.GetFormat().(type) {
	case nil:
		return CompileText(envoyDefault, f.GetOmitEmptyValues())
	case *core.SubstitutionFormatString_JsonFormat:
		return CompileJSON(k.JsonFormat, f.GetOmitEmptyValues())
	case *core.SubstitutionFormatString_TextFormat:
		return CompileText(k.TextFormat, f.GetOmitEmptyValues())
	case *core.SubstitutionFormatString_TextFormatSource:
		switch src := k.TextFormatSource.GetSpecifier().(type) {
		case *core.DataSource_InlineString:
			return CompileText(src.InlineString, f.GetOmitEmptyValues())
		case *core.DataSource_InlineBytes:
			return CompileText(string(src.InlineBytes), f.GetOmitEmptyValues())
		}
	}
	return nil, fmt.Errorf("the format must be inline text or JSON")
}

// altNames maps the clusters that have one to the name under which Envoy
// reports them (alt_stat_name).
func altNames(s *envoy.Snapshot) map[string]string {
	names := map[string]string{}
	for _, c := range s.Clusters {
		if alt := c.GetAltStatName(); alt != "" {
			names[c.GetName()] = alt
		}
	}
	return names
}

// Check reports what Configure would refuse in the snapshot's access loggers,
// but for files that cannot be opened. It opens none.
func Check(s *envoy.Snapshot) error {
	_, err := readLoggers(s)
	return err
}
