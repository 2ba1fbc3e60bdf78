package translate

import (
	"encoding/json"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filelog "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"github.com/sundog-mesh/sundog/internal/config"
	"google.golang.org/protobuf/types/known/structpb"
	meshconfig "istio.io/api/mesh/v1alpha1"
)

// defaultLogFormat is the line that Istio's proxies write.
const defaultLogFormat = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ` +
	`%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ` +
	`"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ` +
	`%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
	`"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% ` +
	`%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ` +
	`%REQUESTED_SERVER_NAME% %ROUTE_NAME%` + "\n"

// defaultLogFields is the same as JSON.
func defaultLogFields() map[string]string {
	return map[string]string{
		"start_time":                        "%START_TIME%",
		"route_name":                        "%ROUTE_NAME%",
		"method":                            "%REQ(:METHOD)%",
		"path":                              "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
		"protocol":                          "%PROTOCOL%",
		"response_code":                     "%RESPONSE_CODE%",
		"response_flags":                    "%RESPONSE_FLAGS%",
		"response_code_details":             "%RESPONSE_CODE_DETAILS%",
		"connection_termination_details":    "%CONNECTION_TERMINATION_DETAILS%",
		"bytes_received":                    "%BYTES_RECEIVED%",
		"bytes_sent":                        "%BYTES_SENT%",
		"duration":                          "%DURATION%",
		"upstream_service_time":             "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
		"x_forwarded_for":                   "%REQ(X-FORWARDED-FOR)%",
		"user_agent":                        "%REQ(USER-AGENT)%",
		"request_id":                        "%REQ(X-REQUEST-ID)%",
		"authority":                         "%REQ(:AUTHORITY)%",
		"upstream_host":                     "%UPSTREAM_HOST%",
		"upstream_cluster":                  "%UPSTREAM_CLUSTER_RAW%",
		"upstream_local_address":            "%UPSTREAM_LOCAL_ADDRESS%",
		"downstream_local_address":          "%DOWNSTREAM_LOCAL_ADDRESS%",
		"downstream_remote_address":         "%DOWNSTREAM_REMOTE_ADDRESS%",
		"requested_server_name":             "%REQUESTED_SERVER_NAME%",
		"upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
	}
}

func (t *translator) accessLogFile() string {
	switch t.opt.AccessLog {
	case "":
		return t.mesh.GetAccessLogFile()
	case "-":
		return "/dev/stdout"
	}
	return t.opt.AccessLog
}

// fileLog is the access log in the mesh's encoding and format.
func (t *translator) fileLog(file string) *filelog.FileAccessLog {
	out := &filelog.FileAccessLog{Path: file}
	format := t.mesh.GetAccessLogFormat()
	if t.mesh.GetAccessLogEncoding() == meshconfig.MeshConfig_JSON {
		fields := structOf(defaultLogFields())
		if format != "" {
			fields = t.jsonFormat(format)
		}
		out.AccessLogFormat = &filelog.FileAccessLog_LogFormat{LogFormat: &core.SubstitutionFormatString{
			Format: &core.SubstitutionFormatString_JsonFormat{JsonFormat: fields},
		}}
		return out
	}
	if format == "" {
		format = defaultLogFormat
	} else if !strings.HasSuffix(format, "\n") {
		format += "\n" // or the lines run together
	}
	out.AccessLogFormat = &filelog.FileAccessLog_LogFormat{LogFormat: textFormat(format)}
	return out
}

// jsonFormat reads the mesh's format as an object of strings, or of objects.
func (t *translator) jsonFormat(format string) *structpb.Struct {
	var fields map[string]any
	err := json.Unmarshal([]byte(format), &fields)
	if err == nil {
		if s, err := structpb.NewStruct(fields); err == nil {
			return s
		}
	}
	t.report(config.Problem{
		Severity: config.Error, Object: "MeshConfig", Field: "accessLogFormat",
		Message: "is not a JSON object, which accessLogEncoding JSON asks for", Hint: `write it as {"path": "%REQ(:PATH)%"}`,
	})
	return structOf(defaultLogFields())
}

func structOf(in map[string]string) *structpb.Struct {
	out := &structpb.Struct{Fields: make(map[string]*structpb.Value)}
	for k, v := range in {
		out.Fields[k] = structpb.NewStringValue(v)
	}
	return out
}
