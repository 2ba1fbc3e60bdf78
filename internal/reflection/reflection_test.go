package reflection_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	serverreflection "google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sundog-mesh/sundog/internal/reflection"
)

// TestFetch asks grpc-go's own reflection service.
func TestFetch(t *testing.T) {
	address := serve(t, func(s *grpc.Server) {
		healthv1.RegisterHealthServer(s, health.NewServer())
		serverreflection.Register(s)
	})
	files, err := reflection.Fetch(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	has := func(name string) bool {
		return slices.ContainsFunc(files, func(f *descriptorpb.FileDescriptorProto) bool { return f.GetName() == name })
	}
	if !has("grpc/health/v1/health.proto") || !has("grpc/reflection/v1/reflection.proto") {
		t.Errorf("the files are %v", files)
	}
}

// TestFetchFails where there is no reflection, and where there is no server.
func TestFetchFails(t *testing.T) {
	if _, err := reflection.Fetch(t.Context(), serve(t, func(*grpc.Server) {})); err == nil {
		t.Error("a server without reflection has files")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if _, err := reflection.Fetch(t.Context(), ln.Addr().String()); err == nil {
		t.Error("nobody has files")
	}
}

func serve(t *testing.T, register func(*grpc.Server)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.ConnectionTimeout(5 * time.Second))
	register(s)
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}
