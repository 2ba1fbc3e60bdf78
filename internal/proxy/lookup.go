package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// lookup resolves "host[:port]"; the port is 80 where there is none.
func lookup(authority string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		host, port = authority, "80"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, want4 := range []bool{true, false} {
		for _, a := range addrs {
			if a = a.Unmap(); a.Is4() == want4 {
				return netip.AddrPortFrom(a, uint16(n)), nil
			}
		}
	}
	return netip.AddrPort{}, errors.New("no address")
}
