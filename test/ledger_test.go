package test

import "testing"

// ledger is what GET /ledger says.
type ledger struct {
	Forwarded int
	Routes    []struct {
		Route     string
		Forwarded int
		Mirrors   []struct {
			Cluster  string
			Share    float64
			Outcomes outcomes
		}
	}
}

// outcomes counts requests by what became of their copies.
type outcomes map[string]int

func (o outcomes) sum() int {
	n := 0
	for _, count := range o {
		n += count
	}
	return n
}

// ledger reads the ledger, which balances whenever somebody looks.
func (p *process) ledger() ledger {
	p.t.Helper()
	var l ledger
	p.getJSON("/ledger", &l)
	forwarded := 0
	for _, r := range l.Routes {
		forwarded += r.Forwarded
		for _, m := range r.Mirrors {
			if m.Outcomes.sum() != r.Forwarded {
				p.t.Errorf("the ledger does not balance: route %q forwarded %d, mirror %s has %v, in all %d", r.Route, r.Forwarded, m.Cluster, m.Outcomes, m.Outcomes.sum())
			}
		}
	}
	if forwarded != l.Forwarded {
		p.t.Errorf("the ledger does not balance: %d forwarded, its routes have %d", l.Forwarded, forwarded)
	}
	return l
}

// settled reads the ledger once no copy is in flight.
func (p *process) settled() ledger {
	p.t.Helper()
	var l ledger
	eventually(p.t, "no copy in flight", func() bool {
		l = p.ledger()
		for _, r := range l.Routes {
			for _, m := range r.Mirrors {
				if m.Outcomes["in_flight"] > 0 {
					return false
				}
			}
		}
		return true
	})
	return l
}

// only returns the outcomes of the one mirror that has forwarded requests.
func (l ledger) only(t *testing.T) outcomes {
	t.Helper()
	var found []outcomes
	for _, r := range l.Routes {
		for _, m := range r.Mirrors {
			found = append(found, m.Outcomes)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the ledger has %d mirrors, want 1: %+v", len(found), l)
	}
	return found[0]
}
