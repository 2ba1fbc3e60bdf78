package mirror

// Report is the ledger as it is read: for each route, how many requests were
// forwarded and what became of them under each of its mirror policies. The
// outcomes of one mirror sum to the forwarded requests, whenever it is read.
type Report struct {
	Forwarded uint64        `json:"forwarded"`
	Routes    []RouteReport `json:"routes"`
	// Process is the brake of the whole process; nil while it is released.
	Process *BrakeReport `json:"process_brake,omitempty"`
	// DroppedNotes counts requests that were not measured, since more came in a
	// second than a loop notes.
	DroppedNotes uint64 `json:"dropped_notes,omitempty"`
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
	// InForce is the part of it that is left by the control share and the brakes.
	InForce float64 `json:"share_in_force"`
	// Outcomes counts requests by the outcome's name; outcomes that have not
	// occurred are left out.
	Outcomes map[string]uint64 `json:"outcomes"`
	// Further counts, in the same way, the copies beside the first of a request
	// that a share above 1 sends; nil until there are some.
	Further map[string]uint64 `json:"further_copies,omitempty"`
	// Brake is that of the mirror's route; nil until there is something to tell.
	Brake *BrakeReport `json:"brake,omitempty"`
}
