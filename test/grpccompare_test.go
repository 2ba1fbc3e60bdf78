package test

import (
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/sundog-mesh/sundog/internal/report"
)

// TestGRPCAnswersAreCompared: fields of gRPC messages have the names that the
// primary's own reflection gives them.
func TestGRPCAnswersAreCompared(t *testing.T) {
	primary := healthService(t, healthv1.HealthCheckResponse_SERVING)
	p := sundog(t, "mirror", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--compare",
		"--primary", "h2c://"+primary, "--baseline", "h2c://"+healthService(t, healthv1.HealthCheckResponse_SERVING),
		"--shadow", "h2c://"+healthService(t, healthv1.HealthCheckResponse_NOT_SERVING))
	conn, err := grpc.NewClient(p.listener("127.0.0.1_0"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	client := healthv1.NewHealthClient(conn)
	eventually(t, "the difference, by its name", func() bool {
		for range 10 {
			a, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{})
			must(t, err)
			if a.GetStatus() != healthv1.HealthCheckResponse_SERVING {
				t.Fatalf("the client got the answer %v", a)
			}
		}
		var r report.Report
		p.getJSON("/report", &r)
		for _, c := range r.Comparisons {
			for _, d := range c.Differences {
				if d.State == report.Proven && d.Field == "body[].status" && d.Path == "/grpc.health.v1.Health/Check" {
					return true
				}
			}
		}
		return false
	})
}

// healthService is a gRPC server that says the same of every service.
func healthService(t *testing.T, status healthv1.HealthCheckResponse_ServingStatus) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s, h := grpc.NewServer(), health.NewServer()
	h.SetServingStatus("", status)
	healthv1.RegisterHealthServer(s, h)
	reflection.Register(s)
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Stop()
		must(t, <-done)
	})
	return ln.Addr().String()
}
