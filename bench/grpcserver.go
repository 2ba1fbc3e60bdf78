//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// grpcRole is the name of an upstream that answers every gRPC call with the
// same message and the trailer grpc-status: 0. It costs little: header blocks
// are not decoded, and answers are made once.
const grpcRole = "grpc"

func grpcServer() (server, error) {
	return listen(func(c net.Conn, _ <-chan struct{}) { _ = serveGRPC(c) })()
}

// grpcConn is one connection with HTTP/2 (RFC 9113).
type grpcConn struct {
	framer   *http2.Framer
	out      bytes.Buffer
	head     []byte // header blocks that need no dynamic table
	trailers []byte
	message  []byte
	window   int      // what the peer lets the connection send
	waiting  []uint32 // streams whose answer has no room in the window
}

// serveGRPC serves a connection until it ends. Answers of a read go out in one
// write.
func serveGRPC(c net.Conn) error {
	in := bufio.NewReaderSize(c, 64<<10)
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(in, preface); err != nil || string(preface) != http2.ClientPreface {
		return errors.Join(err, errors.New("no preface of HTTP/2"))
	}
	g := grpcConn{window: 65_535, head: grpcBlock(
		hpack.HeaderField{Name: ":status", Value: "200"}, hpack.HeaderField{Name: "content-type", Value: "application/grpc"},
	), trailers: grpcBlock(hpack.HeaderField{Name: "grpc-status", Value: "0"}), message: []byte(grpcMessage())}
	g.framer = http2.NewFramer(&g.out, in)
	g.framer.SetReuseFrames()
	err := g.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100_000})
	for err == nil {
		if in.Buffered() == 0 && g.out.Len() > 0 {
			if _, err := c.Write(g.out.Bytes()); err != nil {
				return err
			}
			g.out.Reset()
		}
		var f http2.Frame
		if f, err = g.framer.ReadFrame(); err == nil {
			err = g.frame(f)
		}
	}
	return err
}

// grpcBlock is a header block whose fields no table keeps.
func grpcBlock(fields ...hpack.HeaderField) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSize(0)
	for _, f := range fields {
		_ = encoder.WriteField(f) // a buffer takes everything
	}
	return block.Bytes()
}

func (g *grpcConn) frame(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.HeadersFrame:
		if f.StreamEnded() {
			return g.answer(f.StreamID)
		}
	case *http2.DataFrame:
		if n := uint32(f.Length); n > 0 {
			if err := g.framer.WriteWindowUpdate(0, n); err != nil {
				return err
			}
		}
		if f.StreamEnded() {
			return g.answer(f.StreamID)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			g.window += int(f.Increment)
			return g.answerWaiting()
		}
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return g.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return g.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		return io.EOF
	}
	return nil
}

// answer answers a stream, or keeps it until the window has room. Each stream's
// own window is far larger than a message.
func (g *grpcConn) answer(stream uint32) error {
	g.waiting = append(g.waiting, stream)
	return g.answerWaiting()
}

func (g *grpcConn) answerWaiting() error {
	for len(g.waiting) > 0 && g.window >= len(g.message) {
		stream := g.waiting[0]
		g.waiting = append(g.waiting[:0], g.waiting[1:]...)
		g.window -= len(g.message)
		if err := errors.Join(
			g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: g.head, EndHeaders: true}),
			g.framer.WriteData(stream, false, g.message),
			g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: g.trailers, EndHeaders: true, EndStream: true}),
		); err != nil {
			return err
		}
	}
	return nil
}
