package mirror

import "time"

// The notches of a brake: each halves the share, and the last stops mirroring.
const shut uint32 = 5 // 1, 1/2, 1/4, 1/8, 1/16, 0

// factor is the part of the share asked for that is in force at a notch.
func factor(notch uint32) float64 {
	if notch >= shut {
		return 0
	}
	return 1 / float64(uint32(1)<<notch)
}

const (
	// firstHold is how long a brake stays at a notch before it tries the next
	// one up.
	firstHold = 15 * time.Second
	// maxHold is how long it stays at most, after many tries that failed.
	maxHold = 5 * time.Minute
	// calm is how long it must have been released for those to be forgotten.
	calm = 10 * time.Minute
)

// ladder steps down while there is a cause, and up again when there is none.
// When a step up turns out wrong, the time before the next try doubles: so the
// number of steps in any time is bounded, whatever the causes do.
type ladder struct {
	notch    uint32
	since    time.Time // of the last step
	cause    string    // of the last step down; "" when released
	trying   bool      // it has stepped up since it last stepped down
	failed   int       // tries in a row that were wrong
	downs    uint64
	released time.Time
}

// down takes one step down, and reports whether there was one to take.
func (l *ladder) down(now time.Time, cause string) bool { return l.to(l.notch+1, now, cause) }

// stop takes all steps down at once.
func (l *ladder) stop(now time.Time, cause string) bool { return l.to(shut, now, cause) }

func (l *ladder) to(notch uint32, now time.Time, cause string) bool {
	if l.notch >= shut {
		l.cause = cause
		return false
	}
	switch {
	case l.notch == 0 && now.Sub(l.released) >= calm:
		l.failed = 0
	case l.trying:
		l.failed++
	}
	l.trying = false
	l.notch, l.since, l.cause = notch, now, cause
	l.downs++
	return true
}

// hold is how long the brake stays where it is. Once a try goes well, the
// steps that follow are quick.
func (l *ladder) hold() time.Duration {
	if l.trying {
		return firstHold
	}
	return min(firstHold<<min(l.failed, 10), maxHold)
}

// mayUp reports whether it is time to try a step up.
func (l *ladder) mayUp(now time.Time) bool { return l.notch > 0 && now.Sub(l.since) >= l.hold() }

// up takes one step up.
func (l *ladder) up(now time.Time) {
	l.notch--
	l.since, l.trying = now, true
	if l.notch == 0 {
		l.cause, l.released = "", now
	}
}
