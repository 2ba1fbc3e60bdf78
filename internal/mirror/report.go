package mirror

// Report is the ledger as it is read: for each route, how many requests were
// forwarded and what became of them under each of its mirror policies. The
// outcomes of one mirror sum to the forwarded requests, whenever it is read.
type Report struct {
	Forwarded uint64        `json:"forwarded"`
	Routes    []RouteReport `json:"routes"`
}

// RouteReport is the ledger of one route.
type RouteReport struct {
	Route     string         `json:"route"`
	Forwarded uint64         `json:"forwarded"`
	Mirrors   []MirrorReport `json:"mirrors"`
}

// MirrorReport is the ledger of one mirror policy of a route.
type MirrorReport struct {
	Cluster string `json:"cluster"`
	// Share is the fraction of the requests that is copied: 0.5 is half of
	// them, above 1 each is copied more than once. It is 0 for a policy that is
	// no longer in the configuration.
	Share float64 `json:"share"`
	// Outcomes counts requests by the outcome's name; outcomes that have not
	// occurred are left out.
	Outcomes map[string]uint64 `json:"outcomes"`
}
