package telemetry_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	fileal "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamal "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/telemetry"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

func pack(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// snapshot has one listener with the given access loggers.
func snapshot(t testing.TB, loggers ...proto.Message) *envoy.Snapshot {
	t.Helper()
	manager := &hcm.HttpConnectionManager{}
	for _, l := range loggers {
		manager.AccessLog = append(manager.AccessLog, &accesslog.AccessLog{
			Name: "envoy.access_loggers.file", ConfigType: &accesslog.AccessLog_TypedConfig{TypedConfig: pack(t, l)},
		})
	}
	chain := &listener.FilterChain{Filters: []*listener.Filter{{
		Name: "envoy.filters.network.http_connection_manager", ConfigType: &listener.Filter_TypedConfig{TypedConfig: pack(t, manager)},
	}}}
	return &envoy.Snapshot{
		Listeners: []*listener.Listener{{Name: "127.0.0.1_15001", FilterChains: []*listener.FilterChain{chain, chain}}},
		Clusters:  []*cluster.Cluster{{Name: v1, AltStatName: "alt"}},
	}
}

func fileLog(path, format string) *fileal.FileAccessLog {
	return &fileal.FileAccessLog{Path: path, AccessLogFormat: &fileal.FileAccessLog_LogFormat{LogFormat: &core.SubstitutionFormatString{
		Format: &core.SubstitutionFormatString_TextFormatSource{TextFormatSource: &core.DataSource{
			Specifier: &core.DataSource_InlineString{InlineString: format},
		}},
	}}}
}

// buffer is a writer that may be read meanwhile.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// offer hands e over as the proxy does.
func offer(l *telemetry.AccessLog, e *traffic.Exchange) bool {
	return l.Offer(traffic.Answered, e) && l.Offer(traffic.Settled, e)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLinesReachTheFile(t *testing.T) {
	for name, shadows := range map[string]bool{"primary only": false, "with shadows": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "access.log")
			l := telemetry.NewAccessLog(telemetry.LogOptions{Shadows: shadows})
			if l.Enabled() {
				t.Error("enabled before it was configured")
			}
			if err := l.Configure(snapshot(t, fileLog(path, "%RESPONSE_CODE% %UPSTREAM_CLUSTER%\n"))); err != nil {
				t.Fatal(err)
			}
			if !l.Enabled() || !offer(l, exchange()) {
				t.Error("the exchange was not taken")
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := l.Run(ctx); err != nil {
				t.Fatal(err)
			}
			want := "200 alt\n"
			if shadows {
				want += "503 outbound|8000|v2|httpbin.default.svc.cluster.local shadow outcome=completed\n" +
					"0 refusing shadow outcome=connect_failed\n"
			}
			if got := read(t, path); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got, want := l.Stats().Lines, uint64(strings.Count(want, "\n")); got != want {
				t.Errorf("%d lines counted, want %d", got, want)
			}
		})
	}
}

func TestLinesAreWrittenWithinTheFlushTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		l := telemetry.NewAccessLog(telemetry.LogOptions{Stdout: &out, Flush: time.Second})
		if err := l.Configure(snapshot(t, &streamal.StdoutAccessLog{})); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		offer(l, exchange())
		synctest.Wait()
		if out.String() != "" {
			t.Errorf("written at once: %q", out.String())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		want := `[2026-03-04T05:06:07.089Z] "GET /get?a=1 HTTP/1.1" 200 - 12 345 6 5 "-" "curl/8" "id-1" "httpbin:8000" "127.0.0.1:28001"` + "\n"
		if out.String() != want {
			t.Errorf("got %q, want %q", out.String(), want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestReopenFollowsAMovedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "access.log")
		l := telemetry.NewAccessLog(telemetry.LogOptions{Flush: time.Second})
		if err := l.Configure(snapshot(t, fileLog(path, "%RESPONSE_CODE%\n"))); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		offer(l, exchange())
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		l.Reopen()
		synctest.Wait()
		e := exchange()
		e.Primary.Response.Status = 404
		offer(l, e)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := read(t, path+".1"); got != "200\n" {
			t.Errorf("the old file holds %q", got)
		}
		if got := read(t, path); got != "404\n" {
			t.Errorf("the new file holds %q", got)
		}
	})
}

func TestTooMuchPendingIsDroppedAndCounted(t *testing.T) {
	l := telemetry.NewAccessLog(telemetry.LogOptions{MaxPending: 10})
	if err := l.Configure(snapshot(t, fileLog(filepath.Join(t.TempDir(), "a"), "%RESPONSE_CODE%\n"))); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, false, false} {
		if got := l.Offer(traffic.Answered, exchange()); got != want {
			t.Errorf("offer %d: %v, want %v", i, got, want)
		}
	}
	if got, want := l.Stats(), (telemetry.LogStats{Lines: 2, Dropped: 2}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestConfigureRefusesAndKeepsTheOld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := telemetry.NewAccessLog(telemetry.LogOptions{})
	if err := l.Configure(snapshot(t, fileLog(path, "old\n"))); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		logger proto.Message
		want   string
	}{
		{fileLog(path, "%NOPE%"), `access log of listener "127.0.0.1_15001": operator %NOPE% is not known`},
		{fileLog(filepath.Join(path, "below-a-file"), "x"), "opening the access log: "},
		{fileLog("", "x"), "path is empty"},
		{&core.Node{}, "envoy.config.core.v3.Node is not supported: only file, stdout and stderr are"},
	}
	for _, tt := range tests {
		err := l.Configure(snapshot(t, tt.logger))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
	offer(l, exchange())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "old\n" {
		t.Errorf("the file holds %q", got)
	}
}

// Loops offer at the same time, while the log is configured anew and reopened.
func TestConcurrentOffersLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := telemetry.NewAccessLog(telemetry.LogOptions{Shadows: true, Flush: time.Millisecond})
	s := snapshot(t, fileLog(path, "%REQ(:PATH)% %RESPONSE_CODE%\n"))
	if err := l.Configure(s); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	const loops, each = 4, 500
	var g sync.WaitGroup
	for range loops {
		g.Go(func() {
			e := exchange()
			for range each {
				offer(l, e)
			}
		})
	}
	for range 20 {
		if err := l.Configure(s); err != nil {
			t.Error(err)
		}
		l.Reopen()
	}
	g.Wait()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSuffix(read(t, path), "\n"), "\n")
	count := map[string]int{}
	for _, line := range lines {
		count[line]++
	}
	want := map[string]int{
		"/get?a=1 200": loops * each, "/get?a=1 503 shadow outcome=completed": loops * each,
		"/get?a=1 0 shadow outcome=connect_failed": loops * each,
	}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Error(diff)
	}
}
