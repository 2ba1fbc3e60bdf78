package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// MetadataField is the field under which a route's Policy stands in the
// snapshot's own part of its metadata, as Encode makes it.
const MetadataField = "policy"

// Encode is the policy as it stands in metadata. The error is that of Check.
func Encode(p Policy) (*structpb.Struct, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("encoding policy: %w", err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding policy: %w", err)
	}
	s := &structpb.Struct{}
	if err := protojson.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("encoding policy: %w", err)
	}
	return s, nil
}

// Decode reads what Encode makes. It refuses what Check does, and fields that
// it does not know: whoever wrote one relies on something that this program
// would not do.
func Decode(s *structpb.Struct) (*Policy, error) {
	data, err := protojson.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("decoding policy: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	p := &Policy{}
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("decoding policy: %w", err)
	}
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("decoding policy: %w", err)
	}
	return p, nil
}

// budget is a Budget without its methods.
type budget Budget

// budgetText is a Budget with a duration that people can read: "15s".
type budgetText struct {
	Timeout string `json:"timeout,omitempty"`
	budget
}

// MarshalJSON writes the timeout as Go writes durations.
func (b Budget) MarshalJSON() ([]byte, error) {
	t := budgetText{budget: budget(b)}
	if b.Timeout != 0 {
		t.Timeout = b.Timeout.String()
	}
	return json.Marshal(t)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (b *Budget) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	t := budgetText{}
	if err := d.Decode(&t); err != nil {
		return err
	}
	*b = Budget(t.budget)
	if t.Timeout == "" {
		return nil
	}
	timeout, err := time.ParseDuration(t.Timeout)
	if err != nil {
		return fmt.Errorf("budget.timeout: %w", err)
	}
	b.Timeout = timeout
	return nil
}
