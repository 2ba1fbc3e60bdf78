//go:build linux

package main

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

// readMessage reads one request or answer to its end, by its content-length.
func readMessage(r io.Reader, buf []byte) error {
	for n := 0; n < len(buf); {
		k, err := r.Read(buf[n:])
		if err != nil {
			return err
		}
		n += k
		end := bytes.Index(buf[:n], []byte("\r\n\r\n"))
		if end < 0 {
			continue
		}
		rest, err := contentLength(buf[:end])
		if err != nil {
			return err
		}
		for rest -= n - end - 4; rest > 0; rest -= k {
			if k, err = r.Read(buf[:min(rest, len(buf))]); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("the head is too long")
}

func contentLength(head []byte) (int, error) {
	for line := range bytes.Lines(head) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			return strconv.Atoi(string(bytes.TrimSpace(value)))
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			return 0, errors.New("a chunked body was not expected")
		}
	}
	return 0, nil
}
