package http2_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/http2"
	xhttp2 "golang.org/x/net/http2"
)

func TestNegativeWindow(t *testing.T) {
	p := server(t, http2.Options{})
	p.get(1)
	p.feed()
	s := p.opened.last(t)
	var w wakes
	s.Bind(&w)
	s.SendHead(response(200), chunked, false)
	s.Write(make([]byte, 60000))
	p.frames()
	p.do(p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 50000})) // window -10,000
	p.feed()
	s.Write(make([]byte, 10))
	p.want("SETTINGS 0 ack=true")
	p.do(p.WriteWindowUpdate(1, 10000))
	p.feed()
	p.want()
	p.do(p.WriteWindowUpdate(1, 4))
	p.feed()
	p.want("DATA 1 4")
	w = 0
	p.do(p.WriteWindowUpdate(1, 100))
	p.feed()
	p.want("DATA 1 6")
	if w != 1 || s.Pending() != 0 {
		t.Errorf("%d wake-ups, %d pending", w, s.Pending())
	}
}

func TestCreditGoesBackOnConsumption(t *testing.T) {
	p := server(t, http2.Options{StreamWindow: 30000, ConnWindow: 65535})
	p.post(1)
	p.do(p.WriteData(1, false, make([]byte, 16000)))
	p.do(p.WriteData(1, false, make([]byte, 14000)))
	p.feed()
	p.want()
	s := p.opened.last(t)
	s.Consume(14999)
	p.want()
	s.Consume(1)
	p.want("WINDOW_UPDATE 1 15000")
	p.post(3)
	p.do(p.WriteData(3, false, make([]byte, 16000)))
	p.feed()
	s.Release() // without the rest
	p.opened.last(t).Release()
	p.want("RST_STREAM 1 INTERNAL_ERROR", "WINDOW_UPDATE 0 46000", "RST_STREAM 3 INTERNAL_ERROR")
	if why := p.conn.Idle(nil); why != "" {
		t.Error(why)
	}
}

func TestFullWakesAtHalf(t *testing.T) {
	p := server(t, http2.Options{})
	p.get(1)
	p.feed()
	s := p.opened.last(t)
	var w wakes
	s.Bind(&w)
	s.SendHead(response(200), chunked, false)
	s.Write(make([]byte, 65535+100000))
	if !s.Full() {
		t.Fatal("not full")
	}
	p.frames()
	w = 0
	p.do(p.WriteWindowUpdate(0, 1<<20))
	p.do(p.WriteWindowUpdate(1, 60000))
	p.feed()
	p.frames()
	if w != 0 || s.Pending() != 40000 {
		t.Errorf("%d wake-ups with %d pending", w, s.Pending())
	}
	p.do(p.WriteWindowUpdate(1, 10000))
	p.feed()
	p.frames()
	if w != 1 || s.Pending() != 30000 {
		t.Errorf("%d wake-ups with %d pending", w, s.Pending())
	}
}

// TestRoundRobin has a short answer overtake long ones, and those take turns.
func TestRoundRobin(t *testing.T) {
	p := server(t, http2.Options{})
	p.do(p.WriteWindowUpdate(0, 1<<20))
	for id := uint32(1); id <= 5; id += 2 {
		p.get(id)
	}
	p.feed()
	p.out.block = true
	for i, n := range []int{40000, 40000, 100} {
		s := p.opened.streams[i]
		s.SendHead(response(200), length(int64(n)), false)
		s.Write(make([]byte, n))
		s.End(nil)
	}
	p.out.block = false
	var got []string
	for range 10 {
		got = append(got, p.frames()...)
	}
	want := []string{
		"HEADERS 1 :status=200 content-length=40000", "HEADERS 3 :status=200 content-length=40000",
		"HEADERS 5 :status=200 content-length=100", "DATA 5 100 end", "DATA 1 16384", "DATA 3 16384", "DATA 1 16384",
		"DATA 1 7232 end", "DATA 3 16384", "DATA 3 7232 end",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}
