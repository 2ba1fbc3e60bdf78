package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sundog-mesh/sundog/internal/report"
)

// Exit codes of verdict. A usage error is 2, as everywhere; what is an error
// elsewhere, 1, is "different" here, as with diff.
const (
	exitEquivalent = exitOK
	exitDifferent  = 1
	exitUndecided  = 3
	exitNoVerdict  = 4 // nobody could be asked
)

// exitCode ends the program with a code and says nothing more.
type exitCode int

func (c exitCode) Error() string { return "exit code " + strconv.Itoa(int(c)) }

// confidenceValue is a flag for a confidence: 99%, 0.99. 0: none was given.
type confidenceValue float64

func (v *confidenceValue) Set(s string) error {
	share, err := report.ParseShare(s)
	if err != nil || share == 0 {
		return fmt.Errorf("confidence %s is out of range: write one from 0.5 up to 1, like 0.99", s)
	}
	*v = confidenceValue(share)
	return nil
}

func (v *confidenceValue) String() string {
	if *v == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*v), 'g', -1, 64)
}

// Type is the value's name in the help text.
func (v *confidenceValue) Type() string { return "share" }

// shareValue is a flag for a share: 0.1%, 0.001.
type shareValue struct{ share *float64 }

func (v *shareValue) Set(s string) error {
	share, err := report.ParseShare(s)
	if err == nil {
		v.share = &share
	}
	return err
}

func (v *shareValue) String() string {
	if v.share == nil {
		return ""
	}
	return strconv.FormatFloat(*v.share*100, 'g', -1, 64) + "%"
}

// Type names the value in help texts.
func (v *shareValue) Type() string { return "share" }

// verdictFlags are the flags of verdict.
type verdictFlags struct {
	from        reportFlags
	maxDiff     shareValue
	ratio       float64
	confidence  confidenceValue
	wait, every time.Duration
	format      string
}

func newVerdict(s Streams) *cobra.Command {
	var f verdictFlags
	cmd := &cobra.Command{
		Use:   "verdict [--max-diff SHARE] [--max-latency-ratio RATIO] [--wait DURATION]",
		Short: "Say by the exit code whether two versions are the same within limits",
		Long: `Verdict asks a running sundog whether the new version answers as the old one
does, within the limits given, and says so in one line and by its exit code:

  0  equivalent within the limits
  1  different
  2  the arguments make no sense
  3  undecided when the wait was over
  4  nobody could be asked: no sundog, no report, no such route

While it is undecided it asks again until --wait is over. A verdict is as sure
when it comes early: it may be looked at as often as one likes.

Without --max-diff every proven difference makes it different, and the limit of
equivalence is that of the policy. Where --confidence is more than the policy
has, all is decided anew from the counts.`,
		Example: `  sundog verdict --max-diff 0.1% --max-latency-ratio 1.05 --confidence 0.99 --wait 10m
  sundog verdict --file report.json --route default/orders --format json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			limits, err := f.check()
			if err != nil {
				return err
			}
			d, err := f.ask(cmd.Context(), s, limits)
			if err != nil {
				return noVerdict(err)
			}
			if err := f.print(s.Out, d); err != nil {
				return noVerdict(err)
			}
			switch {
			case d.Pass:
				return nil
			case d.Fail:
				return exitCode(exitDifferent)
			}
			return exitCode(exitUndecided)
		},
	}
	f.from.add(cmd)
	fs := cmd.Flags()
	fs.Var(&f.maxDiff, "max-diff", "share of the answers that may differ more than the baseline's, like 0.1% or 0.001")
	fs.Float64Var(&f.ratio, "max-latency-ratio", 0, "how many times as long as the baseline it may take, like 1.05; inf: any (default: as the policy says)")
	fs.Var(&f.confidence, "confidence", "how sure it has to be, like 0.99 or 99% (default: as sure as the policy says)")
	fs.DurationVar(&f.wait, "wait", 0, "how long to wait while it is undecided")
	fs.DurationVar(&f.every, "every", 2*time.Second, "how often to ask while waiting")
	fs.StringVar(&f.format, "format", "text", "text or json")
	return cmd
}

// noVerdict gives an error the exit code that is not "different".
func noVerdict(err error) error {
	n := &hinted{err: err, code: exitNoVerdict}
	if h := (*hinted)(nil); errors.As(err, &h) {
		n.hint = h.hint
		if h.code == exitUsage {
			n.code = exitUsage
		}
	}
	return n
}

func (f *verdictFlags) check() (report.Limits, error) {
	limits := report.Limits{MaxDiff: f.maxDiff.share, MaxLatencyRatio: f.ratio, Confidence: float64(f.confidence)}
	err := limits.Check()
	switch {
	case err != nil:
		return limits, usageError(err, "'sundog verdict --help' has an example")
	case f.format != "text" && f.format != "json":
		return limits, usageError(fmt.Errorf("--format %q is not known", f.format), "use text or json")
	case f.wait < 0 || f.every <= 0:
		return limits, usageError(fmt.Errorf("--wait %v --every %v: a duration is negative or nothing", f.wait, f.every), "write --wait 10m; without it verdict looks once")
	case f.wait > 0 && f.from.file != "":
		return limits, usageError(errors.New("--wait with --file: a file says the same later"), "leave one of them out")
	}
	return limits, f.from.check()
}

// ask looks until there is a verdict or the wait is over. Once it has had an
// answer, it outlasts that sundog cannot be reached for a while.
func (f *verdictFlags) ask(ctx context.Context, s Streams, limits report.Limits) (report.Decisions, error) {
	read := f.from.source(s.In)
	end := time.Now().Add(f.wait)
	var d report.Decisions
	for looks := 0; ; looks++ {
		last := !time.Now().Before(end)
		r, err := read(ctx)
		if err == nil {
			if r, err = f.from.only(r); err != nil {
				return d, err
			}
			d = report.JudgeAll(r, limits)
			if d.Pass || d.Fail || d.Stuck {
				return d, nil
			}
		}
		switch {
		case err != nil && (looks == 0 || last || ctx.Err() != nil):
			return d, err
		case last:
			return d, nil
		case looks == 0:
			_, _ = fmt.Fprintf(s.Err, "waiting up to %v; %s\n", f.wait, d.Sentence())
		}
		timer := time.NewTimer(min(f.every, time.Until(end)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return d, ctx.Err()
		case <-timer.C:
		}
	}
}

func (f *verdictFlags) print(w io.Writer, d report.Decisions) error {
	if f.format == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(d)
	}
	if _, err := fmt.Fprintln(w, d.Sentence()); err != nil || len(d.Comparisons) < 2 {
		return err
	}
	for _, c := range d.Comparisons {
		if _, err := fmt.Fprintf(w, "  %s, %s: %s\n", c.Route, c.Candidate, c.Sentence()); err != nil {
			return err
		}
	}
	return nil
}
