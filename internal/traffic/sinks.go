package traffic

// Sinks hands each exchange to several sinks.
type Sinks []Sink

// Enabled reports whether one of them wants exchanges.
func (s Sinks) Enabled() bool {
	for _, one := range s {
		if one.Enabled() {
			return true
		}
	}
	return false
}

// Offer offers the exchange to all that want it, and reports whether all had
// room.
func (s Sinks) Offer(ev Event, e *Exchange) bool {
	ok := true
	for _, one := range s {
		if one.Enabled() && !one.Offer(ev, e) {
			ok = false
		}
	}
	return ok
}
