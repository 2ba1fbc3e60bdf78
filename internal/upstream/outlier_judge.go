package upstream

import (
	"math"
	"time"
)

// judge decides about the outliers of one cluster. Only the Monitor has one,
// and only under its lock.
type judge struct {
	m    *Monitor
	c    *Cluster
	o    *Outliers
	now  time.Time
	list []suspect
}

// suspect is an endpoint and what is known of it.
type suspect struct {
	*Endpoint
	*outlierHost
}

func (m *Monitor) judge(c *Cluster) *judge {
	j := &judge{m: m, c: c, o: c.Outliers, now: time.Now()}
	for _, e := range c.Endpoints().All {
		h := e.outlier()
		if h == nil {
			h = newOutlierHost(c.Name, m.alarm)
			e.vitals.outlier.Store(h)
		}
		j.list = append(j.list, suspect{e, h})
	}
	return j
}

// resume carries on with what is known of the endpoints. Limits may be lower
// than they were.
func (j *judge) resume() {
	for _, s := range j.list {
		for k := range s.row {
			if limit := j.o.rules.consecutive[k]; limit > 0 && s.row[k].Load() >= limit {
				s.row[k].Store(limit - 1)
			}
		}
	}
}

// tripped handles an endpoint that has failed too often in a row.
func (j *judge) tripped(h *outlierHost, k outlierKind) {
	for _, s := range j.list {
		if s.outlierHost == h && !s.Ejected() {
			j.detected(s, k)
			h.row[k].Store(0) // the next row is a new one, even if this ejects nobody
			return
		}
	}
}

// detected counts an outlier and ejects it if it may.
func (j *judge) detected(s suspect, k outlierKind) {
	j.o.stats.detected[k].Add(1)
	if s.Ejected() {
		return
	}
	active := 0
	for _, other := range j.list {
		if other.Ejected() {
			active++
		}
	}
	r := &j.o.rules
	if 100*(active+1) > int(r.maxPercent)*len(j.list) && (!r.alwaysOne || active > 0) {
		j.o.stats.overflow.Add(1)
		return
	}
	if uint32(j.m.opt.Random()%100) >= r.enforcing[k] {
		return
	}
	j.o.stats.enforced[k].Add(1)
	j.eject(s, k)
}

// eject keeps an endpoint out for its multiplier times base_ejection_time, at
// most max_ejection_time, and max_ejection_time_jitter.
func (j *judge) eject(s suspect, k outlierKind) {
	r := &j.o.rules
	if time.Duration(s.multiplier)*r.baseTime < r.maxTime+r.baseTime {
		s.multiplier++
	}
	s.returns = min(time.Duration(s.multiplier)*r.baseTime, r.maxTime)
	if r.jitter > 0 {
		s.returns += below(j.m.opt.Random, r.jitter+time.Millisecond)
	}
	s.ejectedAt = j.now
	s.ejections++
	j.c.SetUnhealthy(s.Endpoint, OutlierEjected, true)
	j.m.opt.Logger.Warn("outlier ejected",
		"cluster", j.c.Name, "endpoint", s.Addr, "by", k, "at_least", s.returns, "ejections", s.ejections)
}

// uneject brings an endpoint back.
func (j *judge) uneject(s suspect) {
	s.unejected = j.now
	for k := range s.row {
		s.row[k].Store(0) // else very few new failures would eject it again
	}
	j.c.SetUnhealthy(s.Endpoint, OutlierEjected, false)
	j.m.opt.Logger.Info("outlier back", "cluster", j.c.Name, "endpoint", s.Addr)
}

// recovered is told of an endpoint that passes its health checks.
func (j *judge) recovered(e *Endpoint) {
	for _, s := range j.list {
		if s.Endpoint == e {
			j.uneject(s)
		}
	}
}

// sweep is what happens each interval: endpoints come back, success rates are
// compared, and multipliers of the well-behaved shrink.
func (j *judge) sweep() {
	external := make([]outcome, len(j.list))
	local := make([]outcome, len(j.list))
	for i, s := range j.list {
		if s.Ejected() && j.now.Sub(s.ejectedAt) >= s.returns {
			j.uneject(s)
		}
		external[i], local[i] = s.since()
		s.forgetRates()
	}
	j.compare(external, bySuccessRate, byFailurePercentage)
	j.compare(local, byLocalSuccessRate, byLocalFailurePercentage)
	for _, s := range j.list {
		if !s.Ejected() && !s.unejected.IsZero() && j.now.Sub(s.unejected) >= j.o.rules.interval && s.multiplier > 0 {
			s.multiplier--
		}
	}
}

// since is what has become of the requests since it was called last.
func (h *outlierHost) since() (external, local outcome) {
	var e, l outcome
	for i := range h.tallies {
		t := &h.tallies[i]
		e.ok += t.ok.Load()
		e.failed += t.failed.Load()
		l.ok += t.localOK.Load()
		l.failed += t.localFailed.Load()
	}
	external = outcome{e.ok - h.external.ok, e.failed - h.external.failed}
	local = outcome{l.ok - h.local.ok, l.failed - h.local.failed}
	h.external, h.local = e, l
	return external, local
}

func (h *outlierHost) forgetRates() {
	h.rate.Store(math.Float64bits(-1))
	h.localRate.Store(math.Float64bits(-1))
}

// rated is an endpoint with its rate of success in percent.
type rated struct {
	suspect
	rate float64
}

// compare looks for outliers among the rates of success: those that are far
// below the others', and those that are low.
func (j *judge) compare(outcomes []outcome, byRate, byFailure outlierKind) {
	r := &j.o.rules
	if len(j.list) < int(min(r.rateHosts, r.failHosts)) {
		return
	}
	var forRate, forFailure []rated
	for i, s := range j.list {
		n := outcomes[i]
		volume := n.ok + n.failed
		if volume == 0 || s.Ejected() {
			continue
		}
		v := rated{s, 100 * float64(n.ok) / float64(volume)}
		if volume >= uint64(min(r.rateVolume, r.failVolume)) {
			s.show(byRate, v.rate)
		}
		if volume >= uint64(r.rateVolume) {
			forRate = append(forRate, v)
		}
		if volume >= uint64(r.failVolume) {
			forFailure = append(forFailure, v)
		}
	}
	if len(forRate) > 0 && len(forRate) >= int(r.rateHosts) {
		limit := threshold(forRate, r.stdevs)
		for _, v := range forRate {
			if v.rate < limit {
				j.detected(v.suspect, byRate)
			}
		}
	}
	if len(forFailure) >= int(r.failHosts) {
		for _, v := range forFailure {
			if 100-v.rate >= float64(r.failPercent) {
				j.detected(v.suspect, byFailure)
			}
		}
	}
}

func (h *outlierHost) show(k outlierKind, rate float64) {
	if k == bySuccessRate {
		h.rate.Store(math.Float64bits(rate))
	} else {
		h.localRate.Store(math.Float64bits(rate))
	}
}

// threshold is the mean less so many standard deviations.
func threshold(all []rated, stdevs float64) float64 {
	mean, variance := 0.0, 0.0
	for _, v := range all {
		mean += v.rate
	}
	mean /= float64(len(all))
	for _, v := range all {
		variance += (v.rate - mean) * (v.rate - mean)
	}
	return mean - stdevs*math.Sqrt(variance/float64(len(all)))
}
