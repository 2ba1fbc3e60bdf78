package test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// keepAlive is one client connection that sends the same request again and
// again, with little effort: what waits in a load test is the proxy.
type keepAlive struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte
	body    []byte
}

func newKeepAlive(address, request string) (*keepAlive, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &keepAlive{conn: conn, r: bufio.NewReader(conn), request: []byte(request)}, nil
}

// do sends the request and returns the body of its answer, which has to be a
// 200 with a content length. The body is valid until the next call.
func (k *keepAlive) do() ([]byte, error) {
	if err := k.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := k.conn.Write(k.request); err != nil {
		return nil, err
	}
	status, err := k.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return nil, fmt.Errorf("answered %q", status)
	}
	length := -1
	for {
		line, err := k.r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	if length < 0 {
		return nil, errors.New("answered without a content length")
	}
	if cap(k.body) < length {
		k.body = make([]byte, length)
	}
	k.body = k.body[:length]
	_, err = io.ReadFull(k.r, k.body)
	return k.body, err
}
