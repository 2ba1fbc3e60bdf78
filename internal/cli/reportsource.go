package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sundog-mesh/sundog/internal/report"
)

// reportFlags say where a report comes from: the admin interface of a running
// sundog, or a file.
type reportFlags struct {
	admin, file, route string

	asked func() bool // --admin was given
}

func (f *reportFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.admin, "admin", "127.0.0.1:15000", "`ADDRESS` of the admin interface to ask")
	fs.StringVar(&f.file, "file", "", "read the report (JSON) from `FILE` instead; - is standard input")
	fs.StringVar(&f.route, "route", "", "only the route of this `KEY`, as the report has it")
	f.asked = func() bool { return fs.Changed("admin") }
}

// check refuses two sources.
func (f *reportFlags) check() error {
	if f.file != "" && f.asked() {
		return usageError(errors.New("--admin and --file are both given"), "leave one of them out: the report comes from a running sundog or from a file")
	}
	return nil
}

// source returns a function that reads the report as it is now.
func (f *reportFlags) source(in io.Reader) func(context.Context) (report.Report, error) {
	if f.file != "" {
		return func(context.Context) (report.Report, error) { return readReport(f.file, in) }
	}
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	address := f.admin
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	address = strings.TrimSuffix(address, "/") + "/report?format=json"
	return func(ctx context.Context) (report.Report, error) { return fetchReport(ctx, client, address) }
}

func readReport(file string, in io.Reader) (report.Report, error) {
	var data []byte
	var err error
	if file == "-" {
		data, err = io.ReadAll(in)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return report.Report{}, err
	}
	r, err := report.Read(data)
	if err != nil {
		return r, withHint(fmt.Errorf("%s: %w", file, err), "'sundog report --format json --out FILE' writes one")
	}
	return r, nil
}

// mostReport bounds what is read of an answer.
const mostReport = 256 << 20

func fetchReport(ctx context.Context, client *http.Client, address string) (report.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return report.Report{}, usageError(err, "--admin is HOST:PORT, as sundog run has it")
	}
	resp, err := client.Do(req)
	if err != nil {
		return report.Report{}, withHint(err, "is sundog running there? --admin ADDRESS is the address of its admin interface")
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostReport))
	switch {
	case err != nil:
		return report.Report{}, fmt.Errorf("reading %s: %w", address, err)
	case resp.StatusCode != http.StatusOK:
		const most = 300
		return report.Report{}, fmt.Errorf("%s: %s: %s", address, resp.Status, strings.ToValidUTF8(string(body[:min(len(body), most)]), "?"))
	}
	r, err := report.Read(body)
	if err != nil {
		return r, withHint(fmt.Errorf("%s: %w", address, err), "is that the admin interface of sundog?")
	}
	return r, nil
}

// only picks the route that was asked for.
func (f *reportFlags) only(r report.Report) (report.Report, error) {
	only, err := r.Only(f.route)
	if unknown := (*report.UnknownRouteError)(nil); errors.As(err, &unknown) {
		return only, withHint(fmt.Errorf("route %q is not compared", unknown.Route), "routes that are: "+strings.Join(unknown.Known, ", "))
	}
	return only, err
}
