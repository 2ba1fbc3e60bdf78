package proxy

// ParseAddress is parseAddress, for its property test.
var ParseAddress = parseAddress

// BudgetsInUse is what the copies of all mirrors take.
func (p *Proxy) BudgetsInUse() (requests, bytes int64) {
	p.applying.Lock()
	defer p.applying.Unlock()
	for _, b := range p.budgets {
		r, n := b.InUse()
		requests, bytes = requests+r, bytes+n
	}
	return requests, bytes
}

// WebSocketAccept is webSocketAccept, for servers of tests.
func WebSocketAccept(key string) string { return string(webSocketAccept([]byte(key))) }
