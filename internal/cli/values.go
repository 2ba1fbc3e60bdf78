package cli

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sundog-mesh/sundog/internal/translate"
)

// sizeValue is a flag for a number of bytes: 65536, 64KiB, 1MiB, 2GiB.
type sizeValue int64

// sizeUnits are the units of a size, the largest first.
func sizeUnits() []struct {
	name  string
	bytes int64
} {
	return []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}
}

func (v *sizeValue) Set(s string) error {
	number, unit := s, int64(1)
	for _, u := range sizeUnits() {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is not a size: write a whole number of bytes, or one with KiB, MiB or GiB, like 64MiB", s)
	}
	*v = sizeValue(n * unit)
	return nil
}

func (v *sizeValue) String() string {
	for _, u := range sizeUnits() {
		if n := int64(*v); n >= u.bytes && n%u.bytes == 0 && u.bytes > 1 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*v), 10)
}

// Type names the value in help texts.
func (v *sizeValue) Type() string { return "size" }

// publishValue is the flag --publish [HOST:]PORT:GATEWAYPORT, repeatable.
type publishValue []translate.Publish

func (v *publishValue) Set(s string) error {
	p, err := parsePublish(s)
	if err != nil {
		return err
	}
	*v = append(*v, p)
	return nil
}

func parsePublish(s string) (translate.Publish, error) {
	fail := func(why string) (translate.Publish, error) {
		return translate.Publish{}, fmt.Errorf("%q: %s; write [HOST:]PORT:GATEWAYPORT, like 8080:80 or 127.0.0.1:8080:80", s, why)
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return fail("the port of the Gateway is missing")
	}
	gatewayPort, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || gatewayPort == 0 {
		return fail(fmt.Sprintf("%q is not the port of a Gateway", s[i+1:]))
	}
	host, port := "", s[:i]
	if j := strings.LastIndexByte(port, ':'); j >= 0 {
		host, port = strings.Trim(port[:j], "[]"), port[j+1:]
		if host == "localhost" {
			host = "127.0.0.1"
		}
		if _, err := netip.ParseAddr(host); err != nil {
			return fail(fmt.Sprintf("%q is not an IP address", host))
		}
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fail(fmt.Sprintf("%q is not a port", port))
	}
	return translate.Publish{Host: host, Port: uint32(number), GatewayPort: uint32(gatewayPort)}, nil
}

func (v *publishValue) String() string {
	var all []string
	for _, p := range *v {
		host := p.Host
		if host != "" {
			host += ":"
		}
		all = append(all, fmt.Sprintf("%s%d:%d", host, p.Port, p.GatewayPort))
	}
	return strings.Join(all, ",")
}

// Type names the value in help texts.
func (v *publishValue) Type() string { return "[HOST:]PORT:GATEWAYPORT" }

// labelsValue is a flag for labels: istio=ingressgateway,app=edge. The empty
// value is no labels at all.
type labelsValue map[string]string

func (v *labelsValue) Set(s string) error {
	if s == "" {
		*v = nil
		return nil
	}
	labels := labelsValue{}
	for pair := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return fmt.Errorf("%q is not a label: write KEY=VALUE, several with commas, or nothing to turn it off", pair)
		}
		labels[key] = value
	}
	*v = labels
	return nil
}

func (v *labelsValue) String() string {
	var pairs []string
	for key, value := range *v {
		pairs = append(pairs, key+"="+value)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

// Type names the value in help texts.
func (v *labelsValue) Type() string { return "labels" }

// levelValue is the flag --log-level.
type levelValue slog.Level

func (v *levelValue) Set(s string) error {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if s == strings.ToLower(l.String()) {
			*v = levelValue(l)
			return nil
		}
	}
	return fmt.Errorf("%q is not a level: use debug, info, warn or error", s)
}

func (v *levelValue) String() string { return strings.ToLower(slog.Level(*v).String()) }

// Type names the value in help texts.
func (v *levelValue) Type() string { return "level" }
