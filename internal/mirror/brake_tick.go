package mirror

import (
	"context"
	"math"
	"time"
)

// tickEvery is how often the brakes look at what the loops have noted.
const tickEvery = time.Second

// Run ticks until ctx ends. each calls its argument on every loop, with that
// loop's meter, and returns when all have.
func (b *Brakes) Run(ctx context.Context, each func(func(*Meter))) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			b.Tick(each)
		}
	}
}

// Tick gathers what the loops have noted since the last one, and steps down
// and up where it is time to. It does not disturb the loops while no route has
// a mirror.
func (b *Brakes) Tick(each func(func(*Meter))) {
	b.mu.Lock()
	unused := len(b.keys) == 0
	b.mu.Unlock()
	var all [][]note
	dropped := uint64(0)
	if !unused {
		each(func(m *Meter) {
			notes, d := m.take()
			all = append(all, notes)
			dropped += d
		})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.dropped += dropped
	for _, notes := range all {
		for _, n := range notes {
			b.enter(n)
		}
	}
	b.ticked = now
	b.tickProcess(now)
	for _, r := range b.keys {
		b.judge(r, now)
	}
}

// enter adds a note to its route's blocks, unless the request may have begun
// before the share in force last changed. Requests of before that are still
// under way are the slow ones, and more (or fewer) of them are mirrored than of
// the new.
func (b *Brakes) enter(n note) {
	r := n.brake
	if !r.moved.IsZero() {
		// It has ended after the last tick.
		if _, took := bucketBounds(n.what &^ mirroredFlag); b.ticked.Sub(r.moved) < took {
			return
		}
	}
	for i := range r.blocks {
		r.blocks[i].add(n.what)
	}
}

// judge takes the route's brake down or up a step, if it is time to.
func (b *Brakes) judge(r *Brake, now time.Time) {
	for i := range r.blocks {
		k := &r.blocks[i]
		if k.began.IsZero() {
			k.began = now
		}
		switch {
		case k.due():
			if !b.look(r, k, now) {
				return
			}
		case now.Sub(k.began) >= k.length:
			k.weigh(r.long(), now)
			k.restart(now)
		}
	}
	// While the process' own brake holds more, there is nothing to be seen.
	if r.ladder.notch > b.process.notch && r.ladder.mayUp(now) {
		if weak := r.long().compare(now, shownZ); weak.costs(r.limits.Ratio) == "" {
			r.ladder.up(now)
			b.apply(r, now)
			b.logger.Info("mirroring steps up", "route", r.route, "factor", factor(r.ladder.notch))
		}
	}
}

// look compares the block's requests, and reports whether the brake stays
// where it is.
func (b *Brakes) look(r *Brake, k *block, now time.Time) bool {
	shown := k.compare(now, shownZ)
	if k == r.long() {
		r.last = shown
	}
	if cause := shown.costs(r.limits.Ratio); cause != "" { // else it is not sure, either
		sure := k.compare(now, sureZ)
		if cause = sure.costs(r.limits.Ratio); cause != "" {
			r.last = shown
			b.brake(r, now, cause, &sure)
			return false
		}
	}
	if k.smaller() >= manyRequests || shown.harmless(r.limits.Ratio) || now.Sub(k.began) >= k.length {
		k.restart(now)
	}
	return true
}

// brake takes the route's brake a step down.
func (b *Brakes) brake(r *Brake, now time.Time, cause string, sure *Comparison) {
	down := r.ladder.down(now, cause)
	b.apply(r, now)
	for i := range r.blocks {
		r.blocks[i].restart(now)
	}
	if !down {
		return
	}
	least, mirrored, control := sure.P99.Low, r.last.Mirrored.P99.Value, r.last.Control.P99.Value
	if cause == "p50" {
		least, mirrored, control = sure.P50.Low, r.last.Mirrored.P50.Value, r.last.Control.P50.Value
	}
	b.logger.Warn("mirroring steps down: mirrored requests are slower", "route", r.route, "factor", factor(r.ladder.notch),
		"percentile", cause, "mirrored", mirrored.String(), "unmirrored", control.String(), "ratio_at_least", math.Floor(least*100)/100, "limit", r.limits.Ratio)
}

// Pressure is how near the process is to its limits.
type Pressure struct {
	// Cause is what runs short: "cpu", "memory", "descriptors"; "" when nothing does.
	Cause string
	// Stop: mirroring is to stop at once. Else it is halved every second while
	// the pressure lasts.
	Stop bool
}

// Press tells the brake of the process how near to its limits that is. Where
// mirroring is to stop, no request is sampled from then on; all else is done by
// Tick.
func (b *Brakes) Press(p Pressure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pressure = p
	if p.Cause != "" && p.Stop && b.process.notch < shut {
		now := time.Now()
		b.process.stop(now, p.Cause)
		b.applyAll(now)
		b.logger.Warn("mirroring has stopped: the process is near its limit", "cause", p.Cause)
	}
}

// tickProcess moves the brake of the process.
func (b *Brakes) tickProcess(now time.Time) {
	p := &b.process
	switch {
	case b.pressure.Cause != "":
		if p.down(now, b.pressure.Cause) {
			b.applyAll(now)
			b.logger.Warn("mirroring steps down: the process is near its limit", "cause", p.cause, "factor", factor(p.notch))
		}
		p.since = now // the time to try a step up begins when the pressure ends
	case p.mayUp(now):
		p.up(now)
		b.applyAll(now)
		b.logger.Info("mirroring steps up: the process has room again", "factor", factor(p.notch))
	}
}

// apply puts what the route's and the process' brakes say in force.
func (b *Brakes) apply(r *Brake, now time.Time) {
	n := max(r.ladder.notch, b.process.notch)
	if r.notch.Load() == n {
		return
	}
	r.notch.Store(n)
	r.moved = now
	for i := range r.blocks {
		r.blocks[i].restart(now)
	}
}

func (b *Brakes) applyAll(now time.Time) {
	for _, r := range b.keys {
		b.apply(r, now)
	}
}
