package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// mirrorFlags are the flags that take the place of a configuration.
type mirrorFlags struct {
	listen           string
	primary          string
	shadows          []string
	percent          float64
	accessLog        string
	shadowHostSuffix bool
	caFile           string
	compare          bool
	baseline         string
	again            float64
	againRate        float64
	ignore           []string
}

func newMirror(s Streams) *cobra.Command {
	var flags mirrorFlags
	var serve serveFlags
	cmd := &cobra.Command{
		Use:   "mirror --listen ADDRESS --primary URL --shadow URL...",
		Short: "Mirror one service to others, without any YAML",
		Long: `Mirror forwards every request on --listen to --primary, and sends copies of
--percent of them to each --shadow. The client gets the primary's answers.

The primary gets the Host that the client sent, as Envoy forwards it; a shadow
gets it with -shadow appended, unless --shadow-host-suffix=false or --compare,
as an answer that repeats its Host would always be different.

A URL's scheme says how a service is spoken to: http (HTTP/1.1), h2c (HTTP/2
without TLS, as gRPC has it), https (HTTP/1.1 over TLS) or h2 (HTTP/2 over TLS).
With TLS the certificate must be for the URL's host, and the system's
authorities, or those of --ca-file, must vouch for it.

With --compare the answers are compared with the primary's, and sundog report
and sundog verdict say what came out. What varies by itself is told from what the
new version changes by a --baseline, a service of the primary's own version that
gets copies, too, or else by asking the primary again (--again).`,
		Example: `  sundog mirror --listen 127.0.0.1:8080 --primary http://127.0.0.1:9001 --shadow http://127.0.0.1:9002

  # a tenth of the requests to two candidates, with a line for each copy
  sundog mirror --listen :8080 --primary http://app:9000 --shadow http://a:9000 --shadow http://b:9000 \
    --percent 10 --access-log - --shadow-log

  # is the new version the same?
  sundog mirror --listen :8080 --primary http://v1:9000 --shadow http://v2:9000 --compare --again 5
  sundog verdict --max-diff 0.1% --wait 10m

  # what became of the copies
  curl http://127.0.0.1:15000/ledger`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.compare && !cmd.Flags().Changed("shadow-host-suffix") {
				flags.shadowHostSuffix = false // an answer that repeats its Host would differ
			}
			snapshot, err := flags.snapshot()
			if err != nil {
				return err
			}
			srv, err := newServer(s, serve, "--listen")
			if err != nil {
				return err
			}
			return srv.run(cmd.Context(), func() error { return srv.apply(snapshot) }, nil)
		},
	}
	flags.add(cmd.Flags())
	serve.add(cmd.Flags())
	return cmd
}

func (f *mirrorFlags) add(fs *pflag.FlagSet) {
	fs.SortFlags = false
	fs.StringVar(&f.listen, "listen", "", "`ADDRESS` to serve on, [HOST]:PORT")
	fs.StringVar(&f.primary, "primary", "", "`URL` of the service that answers, http://HOST[:PORT], or with https, h2c or h2")
	fs.StringArrayVar(&f.shadows, "shadow", nil, "`URL` of a service that gets copies; repeatable")
	fs.Float64Var(&f.percent, "percent", 100, "share of the requests to copy, 0 to 100")
	fs.StringVar(&f.accessLog, "access-log", "", "`FILE` for the access log, in Envoy's format, - for stdout")
	fs.BoolVar(&f.shadowHostSuffix, "shadow-host-suffix", true, "append -shadow to the Host of shadows; with --compare not, unless asked for")
	fs.StringVar(&f.caFile, "ca-file", "", "PEM `FILE` of the authorities that vouch for https and h2 services (default: the system's)")
	fs.BoolVar(&f.compare, "compare", false, "compare the answers of shadows with the primary's")
	fs.StringVar(&f.baseline, "baseline", "", "`URL` of a service of the primary's version, which gets copies to measure noise")
	fs.Float64Var(&f.again, "again", 0, "`PERCENT` of the copied GETs and HEADs that the primary is asked again, to measure noise")
	fs.Float64Var(&f.againRate, "again-rate", 10, "how often in a second the primary is asked again at most")
	fs.StringArrayVar(&f.ignore, "ignore", nil, "`FIELD` that is not compared, as a report writes it, like header.etag or body.items[].updated; repeatable")
}

// target is a service by its URL.
type target struct {
	host       string
	port       uint32
	ip         bool // host is an address, not a name
	http2, tls bool
}

func parseTarget(flag, raw string) (target, error) {
	const example = "write it as http://HOST:PORT, like http://127.0.0.1:9001, or with https, h2c or h2"
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		return target{}, usageError(fmt.Errorf("%s %q is not a URL", flag, raw), example)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c" && u.Scheme != "h2":
		return target{}, usageError(fmt.Errorf("%s %q: the scheme is none of http, https, h2c and h2", flag, raw), example)
	case u.User != nil:
		return target{}, usageError(fmt.Errorf("%s has a user in its URL, which nothing would use", flag), example)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return target{}, usageError(fmt.Errorf("%s %q: a path has no use here, requests keep their own", flag, raw), example)
	}
	t := target{host: u.Hostname(), port: 80, http2: u.Scheme[:2] == "h2", tls: u.Scheme == "https" || u.Scheme == "h2"}
	if t.tls {
		t.port = 443
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return target{}, usageError(fmt.Errorf("%s %q: %s is not a port", flag, raw, p), example)
		}
		t.port = uint32(n)
	}
	_, err = netip.ParseAddr(t.host)
	t.ip = err == nil
	return t, nil
}

// parseListen reads [HOST]:PORT, where HOST is an address.
func parseListen(s string) (target, error) {
	const example = "write it as ADDRESS:PORT, like 127.0.0.1:8080, or :8080 for all interfaces"
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return target{}, usageError(fmt.Errorf("--listen %q is not an address with a port", s), example)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return target{}, usageError(fmt.Errorf("--listen %q: %q is not a port", s, port), example)
	}
	switch host {
	case "":
		host = "0.0.0.0"
	case "localhost":
		host = "127.0.0.1"
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return target{}, usageError(fmt.Errorf("--listen %q: %q is not an IP address", s, host), example)
	}
	return target{host: host, port: uint32(n), ip: true}, nil
}

// check refuses flags that are missing or make no sense.
func (f *mirrorFlags) check() error {
	switch {
	case f.listen == "":
		return usageError(errors.New("--listen is missing"), "name the address to serve on, like --listen 127.0.0.1:8080")
	case f.primary == "":
		return usageError(errors.New("--primary is missing"), "name the service that answers, like --primary http://127.0.0.1:9001")
	case len(f.shadows) == 0:
		return usageError(errors.New("--shadow is missing"), "name a service that gets copies, like --shadow http://127.0.0.1:9002")
	case !utf8.ValidString(f.listen + f.primary + strings.Join(f.shadows, "") + f.accessLog):
		return usageError(errors.New("a flag's value is not UTF-8"), "addresses, URLs and file names must be")
	case !(f.again >= 0 && f.again <= 100):
		return usageError(fmt.Errorf("--again %v is not between 0 and 100", f.again), "5 asks the primary again for one in twenty")
	case f.again > 0 && !(f.againRate > 0):
		return usageError(fmt.Errorf("--again-rate %v is not positive", f.againRate), "--again 0 never asks the primary again")
	case !f.compare && (f.baseline != "" || f.again > 0 || len(f.ignore) > 0):
		return usageError(errors.New("--baseline, --again and --ignore are of use with --compare only"), "add --compare, or leave them out")
	case slices.Contains(f.shadows, f.baseline):
		return usageError(fmt.Errorf("--baseline %s is a --shadow, too", f.baseline), "the baseline has the primary's own version, else nothing that the shadow changes would count")
	case f.baseline != "" && f.again > 0:
		return usageError(errors.New("there are both --baseline and --again"), "a baseline makes asking the primary again needless: leave one of them out")
	case !(f.percent >= 0 && f.percent <= 100):
		return usageError(fmt.Errorf("--percent %v is not between 0 and 100", f.percent), "100 copies every request, 0.5 one in two hundred")
	}
	for _, field := range f.ignore {
		if _, err := compare.New(compare.Options{Ignore: []string{field}}); err != nil {
			_, why, _ := strings.Cut(err.Error(), strconv.Quote(field)+": ")
			return usageError(fmt.Errorf("--ignore %q: %s", field, why), "write it as a report does, like header.etag or body.items[].updated")
		}
	}
	return nil
}
