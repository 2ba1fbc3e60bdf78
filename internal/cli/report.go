package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sundog-mesh/sundog/internal/report"
)

func newReport(s Streams) *cobra.Command {
	var from reportFlags
	var format, out string
	cmd := &cobra.Command{
		Use:   "report [--admin ADDRESS | --file FILE]",
		Short: "Show what comparing two versions has found: verdict, differences, latency",
		Long: `Report asks a running sundog what it has found, or reads a report that was
saved as JSON, and prints it for a terminal, a pull request (Markdown), a
browser (HTML in one file) or a program (JSON). The first line is the verdict.

Colours are for terminals only, and not with NO_COLOR in the environment.`,
		Example: `  sundog report
  sundog report --format html --out report.html
  sundog report --format markdown --route default/orders >comment.md

  # save it now, read it later
  sundog report --format json --out report.json
  sundog report --file report.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"text", "markdown", "html", "json"}, format) {
				return usageError(fmt.Errorf("--format %q is not known", format), "use text, markdown, html or json")
			}
			if err := from.check(); err != nil {
				return err
			}
			r, err := from.source(s.In)(cmd.Context())
			if err != nil {
				return err
			}
			r, err = from.only(r)
			if err != nil {
				return err
			}
			if out == "" {
				return writeReport(s.Out, r, format, textOptions(s.Out, os.Getenv))
			}
			var b bytes.Buffer
			if err := writeReport(&b, r, format, report.TextOptions{}); err != nil {
				return err
			}
			return os.WriteFile(out, b.Bytes(), 0o644)
		},
	}
	from.add(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "text, markdown, html or json")
	cmd.Flags().StringVar(&out, "out", "", "write it to `FILE` instead of standard output")
	return cmd
}

func writeReport(w io.Writer, r report.Report, format string, opt report.TextOptions) error {
	switch format {
	case "markdown":
		return report.Markdown(w, r)
	case "html":
		return report.HTML(w, r)
	case "json":
		return report.JSON(w, r)
	}
	return report.Text(w, r, opt)
}

// textOptions fits text to a terminal; w may be none. See no-color.org.
func textOptions(w io.Writer, env func(string) string) report.TextOptions {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return report.TextOptions{}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	kind := strings.ToLower(env("TERM"))
	return report.TextOptions{Width: width, Color: env("NO_COLOR") == "" && kind != "dumb"}
}
