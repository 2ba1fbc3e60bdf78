package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// shop is a small service with the noise of real ones: timestamps, random ids,
// lists in any order. A candidate of it has two regressions.
type shop struct {
	addr      netip.AddrPort
	instance  string
	candidate bool
	srv       *http.Server
}

// startShop serves on a free port until stop.
func startShop(ctx context.Context, instance string, candidate bool) (*shop, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &shop{addr: ln.Addr().(*net.TCPAddr).AddrPort(), instance: instance, candidate: candidate}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", s.user)
	mux.HandleFunc("GET /orders/{id}", s.order)
	mux.HandleFunc("GET /search", s.search)
	s.srv = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			panic("demo: internal error: " + err.Error())
		}
	}()
	return s, nil
}

func (s *shop) stop() { _ = s.srv.Close() }

// answer is JSON with what varies in every answer.
func (s *shop) answer(w http.ResponseWriter, fields map[string]any) {
	fields["served_at"] = time.Now().UTC().Format(time.RFC3339Nano)
	fields["trace"] = fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	fields["instance"] = s.instance
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(fields) // a client that has left is no fault of the shop
}

func (s *shop) user(w http.ResponseWriter, r *http.Request) {
	tags := []string{"new", "loyal", "beta"}
	rand.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
	s.answer(w, map[string]any{"id": r.PathValue("id"), "name": "user " + r.PathValue("id"), "tags": tags})
}

// order has the first regression: the candidate rounds the totals of one order
// in a hundred.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	total := fmt.Sprintf("%d.%02d", len(id)*17, 95)
	if s.candidate && strings.HasSuffix(id, "77") {
		total = fmt.Sprintf("%d.00", len(id)*17+1)
	}
	s.answer(w, map[string]any{"id": id, "currency": "EUR", "total": total, "items": []int{1, 2, 3}})
}

// search has the second: the candidate takes a fifth longer.
func (s *shop) search(w http.ResponseWriter, r *http.Request) {
	takes := 25*time.Millisecond + rand.N(time.Millisecond)
	if s.candidate {
		takes += takes / 5
	}
	wait := time.NewTimer(takes)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-r.Context().Done():
		return
	}
	s.answer(w, map[string]any{"query": r.URL.Query().Get("q"), "hits": []string{"shoe", "boot"}})
}
