package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// maxProxyV1 is the longest header of version 1, CRLF included.
const maxProxyV1 = 107

// maxProxyV2 bounds the addresses and TLVs of version 2, in bytes.
const maxProxyV2 = 4 << 10

var (
	proxyV1 = []byte("PROXY ")
	proxyV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

var errNoProxyHeader = errors.New("the connection does not begin with a PROXY protocol header")

// proxyHeaderLength finds the end of the PROXY protocol header at the start of
// in, of version 1 or 2. It is 0 while more bytes are needed.
func proxyHeaderLength(in []byte) (int, error) {
	switch {
	case begins(in, proxyV2):
		const fixed = 16
		if len(in) < fixed {
			return 0, nil
		}
		n := int(binary.BigEndian.Uint16(in[14:]))
		if n > maxProxyV2 {
			return 0, errNoProxyHeader
		}
		if len(in) < fixed+n {
			return 0, nil
		}
		return fixed + n, nil
	case begins(in, proxyV1):
		if i := bytes.IndexByte(in[:min(len(in), maxProxyV1)], '\n'); i >= 0 {
			return i + 1, nil
		}
		if len(in) >= maxProxyV1 {
			return 0, errNoProxyHeader
		}
		return 0, nil
	}
	return 0, errNoProxyHeader
}

// begins reports whether in and sign agree as far as both go.
func begins(in, sign []byte) bool {
	n := min(len(in), len(sign))
	return bytes.Equal(in[:n], sign[:n])
}

// parseProxyHeader reads a complete header. The addresses are zero where it
// names none (LOCAL, UNKNOWN, or no TCP).
func parseProxyHeader(header []byte) (source, destination netip.AddrPort, err error) {
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(header), len(header)))
	if err != nil {
		return source, destination, err
	}
	if h.Command.IsLocal() {
		return source, destination, nil
	}
	from, to, ok := h.TCPAddrs()
	if !ok {
		return source, destination, nil
	}
	return unmapped(from.AddrPort()), unmapped(to.AddrPort()), nil
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
