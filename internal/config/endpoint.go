package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config/strict"
)

// endpoint parses one --endpoint value: HOST[:PORT][/SUBSET]=IP:PORT.
func (p *parser) endpoint(value string) {
	fail := func(message string) {
		p.report(Problem{
			Severity: Error, Position: Position{File: "--endpoint"},
			Message: fmt.Sprintf("%q: %s", strict.Shorten(value), message),
			Hint:    "write HOST[:PORT][/SUBSET]=IP:PORT, like httpbin/v1=127.0.0.1:28001 or httpbin:8000=127.0.0.1:28001",
		})
	}
	service, addr, ok := strings.Cut(value, "=")
	if !ok {
		fail("there is no = between the service and its address")
		return
	}
	var o EndpointOverride
	var err error
	if o.Addr, err = netip.ParseAddrPort(addr); err != nil {
		if _, err := netip.ParseAddr(addr); err == nil {
			fail(fmt.Sprintf("the address %s has no port", addr))
		} else {
			fail(fmt.Sprintf("%q is not an IP address and a port", addr))
		}
		return
	}
	if o.Addr.Port() == 0 {
		fail("port 0 of the address is out of range; ports are 1 to 65535")
		return
	}
	host, subset, hasSubset := strings.Cut(service, "/")
	if hasSubset && !isSubsetName(subset) {
		fail(fmt.Sprintf("%q is not a subset name", subset))
		return
	}
	host, port, hasPort := strings.Cut(host, ":")
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			fail(fmt.Sprintf("%q is not a port; ports are 1 to 65535", port))
			return
		}
		o.Port = int(n)
	}
	if message := hostProblem(host, false); message != "" {
		fail(message)
		return
	}
	o.Host, o.Subset = host, subset
	p.set.Overrides = append(p.set.Overrides, o)
}
