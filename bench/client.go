//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// upload is ask with a client of our own, for HTTP/1.1 and POST: requests are
// due one after the other, evenly, each connection in its turn, where h2load
// sends on all connections in one instant. What is due while its connection
// still waits counts from when it was due. After the run it waits for the last
// answers, so that it knows of each request what became of it.
func (b *bench) upload(ctx context.Context, l load) (latency, error) {
	body, err := os.ReadFile(l.body)
	if err != nil {
		return latency{}, err
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nhost: %s\r\ncontent-length: %d\r\n\r\n", l.path(), l.addr, len(body))
	message := append([]byte(head), body...)
	clients := make([]uploader, l.conns)
	for i := range clients {
		clients[i] = uploader{load: l, turn: i, message: message, answer: make([]byte, 4<<10)}
		if err := clients[i].dial(); err != nil {
			return latency{}, fmt.Errorf("connection %d: %w", i+1, err)
		}
		defer clients[i].close()
	}
	began := time.Now()
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { clients[i].run(began) })
	}
	all.Wait()
	got := latency{took: time.Since(began)}
	var times []time.Duration
	for i := range clients {
		times = append(times, clients[i].times...)
		got.answered += clients[i].answered
		got.failed += clients[i].failed
		got.unanswered += clients[i].unanswered
	}
	return got.percentiles(times), ctx.Err()
}

// uploader is one connection.
type uploader struct {
	load

	turn            int // of the first request
	message, answer []byte
	conn            net.Conn
	times           []time.Duration // of each request, answered or not

	answered, failed, unanswered int
}

func (u *uploader) dial() (err error) {
	u.close()
	if u.conn, err = net.DialTimeout("tcp", u.addr, 2*time.Second); err != nil {
		return err
	}
	return nil
}

func (u *uploader) close() {
	if u.conn != nil {
		_ = u.conn.Close()
	}
}

// run sends what is due until the run is over. At no rate, a request is due
// when the one before is answered.
func (u *uploader) run(began time.Time) {
	end := began.Add(u.length)
	last := end.Add(u.patience)
	free := began
	for n := 0; ; n++ {
		due := free
		if u.rate > 0 {
			due = began.Add(time.Duration(float64(u.turn+n*u.conns) / u.rate * float64(time.Second)))
		}
		if !due.Before(end) {
			return
		}
		if early := time.Until(due); early > 0 {
			time.Sleep(early)
			due = time.Now() // a timer that is late is no fault of the proxy
		}
		switch err := u.exchange(last); {
		case err == nil:
			u.answered++
		case errors.Is(err, os.ErrDeadlineExceeded):
			u.unanswered++
		default:
			u.failed++
		}
		free = time.Now()
		u.times = append(u.times, free.Sub(due))
	}
}

// exchange sends a request and reads its answer. A connection that broke is
// made anew for the next.
func (u *uploader) exchange(last time.Time) error {
	if u.conn == nil {
		if err := u.dial(); err != nil {
			u.conn = nil
			return err
		}
	}
	err := u.conn.SetDeadline(last)
	if err == nil {
		_, err = u.conn.Write(u.message)
	}
	if err == nil {
		err = readMessage(u.conn, u.answer)
	}
	if err == nil && !bytes.HasPrefix(u.answer, []byte("HTTP/1.1 200 ")) {
		err = fmt.Errorf("the answer is %.30q", u.answer)
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		u.close()
		u.conn = nil
	}
	return err
}
