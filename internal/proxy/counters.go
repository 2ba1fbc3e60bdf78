package proxy

// httpCounters count the clients' side of one connection manager on one loop.
type httpCounters struct {
	cxTotal, rqTotal, rqError uint64
	cxHTTP2, rqHTTP2, cxTLS   uint64    // of those
	rqClass                   [6]uint64 // by the status' first digit
	rxReset, timeouts         uint64
	overload                  uint64
	bytesIn, bytesOut         uint64
}

// clusterCounters count a cluster on one loop, primary and shadow requests
// alike, as Envoy's cluster statistics do.
type clusterCounters struct {
	rqTotal, rqRetry, rqRetrySuccess, rqTimeout, rqPerTryTimeout, rqReset, noEndpoint uint64
	rqClass                                                                           [6]uint64
}

func (w *worker) counters(cfg *httpConfig) *httpCounters {
	c := w.http[cfg.statPrefix]
	if c == nil {
		c = &httpCounters{}
		w.http[cfg.statPrefix] = c
	}
	return c
}
