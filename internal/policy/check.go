package policy

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// maxInteger is the largest number up to which a JSON number, which is a
// double, holds every integer.
const maxInteger = 1 << 53

// Check reports every value that no policy may have, each by its field's path.
func (p *Policy) Check() error {
	c := &checker{}
	if v := p.Sample.Percent; v != nil {
		c.between("sample.percent", *v, 0, 10_000)
	}
	oneOf(c, "sample.key.kind", p.Sample.Key.Kind, "", KeyRequestID, KeyHeader, KeyCookie, KeySourceAddress)
	if kind := p.Sample.Key.Kind; (p.Sample.Key.Name != "") != (kind == KeyHeader || kind == KeyCookie) {
		c.fail("sample.key.name", "is for the kinds Header and Cookie, which need it; the kind is %q", kind)
	}
	c.between("sample.rate", p.Sample.Rate, 0, maxInteger)

	if w := p.Request.Path; w != nil && (w.Prefix != "") == (w.Regex != "") {
		c.fail("request.path", "has not one of prefix and regex")
	}

	c.integer("budget.timeout", int64(p.Budget.Timeout), math.MaxInt64)
	c.integer("budget.buffer", p.Budget.Buffer, maxInteger)
	c.integer("budget.maxRequests", int64(p.Budget.MaxRequests), math.MaxInt32)
	c.integer("budget.maxBytes", p.Budget.MaxBytes, maxInteger)
	if r := p.Brake.Ratio; r != 0 {
		c.between("brake.ratio", r, 1, math.MaxFloat64)
	}
	if v := p.Brake.ControlShare; v != nil {
		c.between("brake.controlShare", *v, 0, 100)
	}
	p.Compare.check(c)
	return errors.Join(c.errors...)
}

func (m *Compare) check(c *checker) {
	c.between("compare.baseline.again", m.Baseline.Again, 0, 1)
	c.between("compare.baseline.againRate", m.Baseline.AgainRate, 0, maxInteger)
	c.between("compare.epsilon", m.Epsilon, 0, 1)
	c.between("compare.alpha", m.Alpha, 0, 1)
	if r := m.MaxLatencyRatio; r != 0 {
		c.between("compare.maxLatencyRatio", r, 1, math.MaxFloat64)
	}
	c.integer("compare.maxBody", m.MaxBody, maxInteger)
	for i, f := range m.Fields {
		at := fmt.Sprintf("compare.fields[%d].", i)
		if f.Path == "" {
			c.fail(at+"path", "is empty")
		}
		oneOf(c, at+"type", f.Type, "", TypeUUID, TypeTimestamp, TypeCounter, TypeToken, TypeFloat, TypeAny)
		c.between(at+"absolute", f.Absolute, 0, math.MaxFloat64)
		c.between(at+"relative", f.Relative, 0, 1)
		oneOf(c, at+"array", f.Array, "", ArrayIndex, ArraySet, ArrayKey)
		if (f.Key != "") != (f.Array == ArrayKey) {
			c.fail(at+"key", "is for arrays that are matched by Key, which need it; this is matched by %q", f.Array)
		}
	}
}

type checker struct{ errors []error }

func (c *checker) fail(field, format string, args ...any) {
	c.errors = append(c.errors, fmt.Errorf(field+" "+format, args...))
}

// between also refuses what is not a number.
func (c *checker) between(field string, v, low, high float64) {
	if !(v >= low && v <= high) {
		c.fail(field, "is %g, which is not between %g and %g", v, low, high)
	}
}

func (c *checker) integer(field string, v, high int64) {
	if v < 0 || v > high {
		c.fail(field, "is %d, which is not between 0 and %d", v, high)
	}
}

func oneOf[T ~string](c *checker, field string, v T, values ...T) {
	if !slices.Contains(values, v) {
		c.fail(field, "is %q, which is none of %q", v, values)
	}
}
