package mirror

import (
	"math"
	"time"
)

// BrakeReport is a brake as it is read: what it does, and what it has measured.
type BrakeReport struct {
	// Factor is the part of the share asked for that the brake leaves: 1 is
	// released, then 0.5, 0.25, 0.125, 0.0625 and 0.
	Factor float64 `json:"factor"`
	// Cause of the last step down: "p99" or "p50" where mirrored requests took
	// longer, "cpu", "memory" or "descriptors" for the process; empty when released.
	Cause string `json:"cause,omitempty"`
	// Since is when the last step was taken; zero: none was.
	Since time.Time `json:"since,omitzero"`
	// StepsDown counts the steps down since the route's mirrors are as they are.
	StepsDown uint64 `json:"steps_down"`
	// The last look at the route's requests; nil before there were enough. All
	// mirrors of a route have one brake and one comparison.
	Mirrored *LatencyReport `json:"mirrored,omitempty"`
	Control  *LatencyReport `json:"unmirrored,omitempty"`
	RatioP50 *RatioReport   `json:"ratio_p50,omitempty"`
	RatioP99 *RatioReport   `json:"ratio_p99,omitempty"`
	// Seconds is how long those requests took to come.
	Seconds float64 `json:"seconds,omitempty"`
}

// LatencyReport is the latency of mirrored or unmirrored requests.
type LatencyReport struct {
	Requests int         `json:"requests"`
	P50      BoundReport `json:"p50_ms"`
	P99      BoundReport `json:"p99_ms"`
}

// BoundReport is a number of milliseconds with bounds. High is left out where
// there is too little data for it.
type BoundReport struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high,omitempty"`
}

// RatioReport is a ratio with bounds that hold with 95 % at least. High is left
// out where there is too little data for it.
type RatioReport struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high,omitempty"`
}

// Report writes the shares in force and the state of the brakes into the
// ledger's report.
func (b *Brakes) Report(rep *Report) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rep.DroppedNotes = b.dropped
	if b.process.downs > 0 {
		rep.Process = b.process.report()
	}
	for i := range rep.Routes {
		var tightest *Brake // routes that share a key mostly share a brake, too
		for _, r := range b.routes[rep.Routes[i].Route] {
			if tightest == nil || r.notch.Load() > tightest.notch.Load() {
				tightest = r
			}
		}
		if tightest == nil {
			continue
		}
		for j := range rep.Routes[i].Mirrors {
			if m := &rep.Routes[i].Mirrors[j]; m.Share > 0 {
				m.InForce = left(m.Share*factor(tightest.notch.Load()), tightest.limits.ControlShare)
				m.Brake = b.reportOf(tightest)
			}
		}
	}
}

// left is what the control share leaves of a share.
func left(share, control float64) float64 {
	whole, part := math.Modf(share)
	return whole*(1-control) + min(part, 1-control)
}

func (b *Brakes) reportOf(r *Brake) *BrakeReport {
	rep := r.ladder.report()
	if b.process.notch > r.ladder.notch {
		by := b.process.report()
		rep.Factor, rep.Cause, rep.Since = by.Factor, by.Cause, by.Since
	}
	if c := &r.last; c.Mirrored.Requests > 0 {
		rep.Mirrored, rep.Control = c.Mirrored.report(), c.Control.report()
		rep.RatioP50, rep.RatioP99 = (*RatioReport)(&c.P50).rounded(), (*RatioReport)(&c.P99).rounded()
		rep.Seconds = c.Took.Seconds()
	}
	if rep.StepsDown == 0 && rep.Mirrored == nil && rep.Factor == 1 {
		return nil
	}
	return rep
}

func (l *ladder) report() *BrakeReport {
	return &BrakeReport{Factor: factor(l.notch), Cause: l.cause, Since: l.since.UTC(), StepsDown: l.downs}
}

func (l *Latency) report() *LatencyReport {
	return &LatencyReport{Requests: l.Requests, P50: l.P50.report(), P99: l.P99.report()}
}

func (i Interval) report() BoundReport {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return BoundReport{Value: ms(i.Value), Low: ms(i.Low), High: ms(i.High)}
}

// rounded is a copy with three digits after the point: there is no more in it.
func (r *RatioReport) rounded() *RatioReport {
	round := func(x float64) float64 { return math.Round(x*1000) / 1000 }
	return &RatioReport{Value: round(r.Value), Low: round(r.Low), High: round(r.High)}
}
