package strict

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// scalar checks a scalar that must have one of the simple forms.
func (c *checker) scalar(n *Node, s *Shape, path string) (any, bool) {
	switch s.form {
	case stringForm:
		if n.tag != "!!str" {
			c.notString(n, path)
			return nil, false
		}
		return n.value, true
	case boolForm:
		if n.tag != "!!bool" {
			return c.wrong(n, s, path)
		}
		return n.bool(), true
	case intForm:
		return c.integer(n, s, path)
	case floatForm:
		return c.float(n, s, path)
	case enumForm:
		if n.tag != "!!str" || !slices.Contains(s.enum, n.value) {
			hint := ""
			if name := Nearest(n.value, s.enum); name != "" {
				hint = fmt.Sprintf("did you mean %s?", name)
			}
			c.errorf(n, path, hint, "%s is not one of %s", n.Describe(), strings.Join(s.enum, ", "))
			return nil, false
		}
		return n.value, true
	case bytesForm:
		if n.tag != "!!str" {
			return c.wrong(n, s, path)
		}
		if _, err := base64.StdEncoding.DecodeString(n.value); err != nil {
			c.errorf(n, path, "", "is not base64 text: %v", err)
			return nil, false
		}
		return n.value, true
	case durationForm:
		return c.duration(n, path)
	case timeForm:
		if _, err := time.Parse(time.RFC3339Nano, n.value); n.tag != "!!str" || err != nil {
			c.errorf(n, path, `write it as "2026-01-31T12:00:00Z"`, "%s is not a time", n.Describe())
			return nil, false
		}
		return n.value, true
	case intOrStringForm:
		if n.tag == "!!str" {
			return n.value, true
		}
		return c.integer(n, &Shape{form: intOrStringForm, min: math.MinInt32, max: math.MaxInt32}, path)
	case quantityForm:
		return c.quantity(n, s, path)
	}
	return c.anything(n, path)
}

func (c *checker) wrong(n *Node, s *Shape, path string) (any, bool) {
	hint := ""
	switch {
	case n.IsNull():
		hint = "give it a value or remove it"
	case n.tag == "!!str" && !n.plain && (s.form == boolForm && (n.value == "true" || n.value == "false")):
		hint = "remove the quotes"
	}
	c.errorf(n, path, hint, "must be %s, not %s", s.describe(), n.Describe())
	return nil, false
}

func (c *checker) notString(n *Node, path string) {
	hint := fmt.Sprintf("put it in quotes: %q", n.value)
	if n.IsNull() {
		hint = "give it a value or remove it"
	}
	c.errorf(n, path, hint, "must be a string, not %s", n.Describe())
}

func (c *checker) integer(n *Node, s *Shape, path string) (any, bool) {
	if c.quotedNumbers && n.tag == "!!str" {
		if _, err := strconv.ParseInt(n.value, 10, 64); err == nil {
			n = &Node{tag: "!!int", value: n.value, Place: n.Place}
		}
	}
	v, ok := n.number()
	if !ok {
		hint := ""
		if n.tag == "!!str" && !n.plain {
			if _, err := strconv.ParseInt(n.value, 10, 64); err == nil {
				hint = "remove the quotes"
			}
		}
		if n.IsNull() {
			hint = "give it a value or remove it"
		}
		c.errorf(n, path, hint, "must be %s, not %s", s.describe(), n.Describe())
		return nil, false
	}
	i, errInt := strconv.ParseInt(string(v), 10, 64)
	u, errUint := strconv.ParseUint(string(v), 10, 64)
	switch {
	case strings.ContainsAny(string(v), ".eE"):
		c.errorf(n, path, "", "must be %s, not %s", s.describe(), n.Describe())
	case errInt == nil && i < 0 && i >= s.min, errUint == nil && u <= s.max:
		return v, true
	default:
		c.errorf(n, path, "", "%s is out of range; it must be between %d and %d", n.value, s.min, s.max)
	}
	return nil, false
}

func (c *checker) float(n *Node, s *Shape, path string) (any, bool) {
	if c.quotedNumbers && n.tag == "!!str" {
		if f, err := strconv.ParseFloat(n.value, 64); err == nil {
			n = &Node{tag: "!!float", value: strconv.FormatFloat(f, 'g', -1, 64), Place: n.Place}
		}
	}
	v, ok := n.number()
	if !ok {
		hint := ""
		if _, err := strconv.ParseFloat(n.value, 64); err == nil && n.tag == "!!str" {
			hint = "remove the quotes"
		} else if strings.HasSuffix(n.value, "%") {
			hint = "write the number alone, without the percent sign"
		}
		if n.IsNull() {
			hint = "give it a value or remove it"
		}
		c.errorf(n, path, hint, "must be %s, not %s", s.describe(), n.Describe())
		return nil, false
	}
	return v, true
}

// duration takes what Go's time.ParseDuration takes, as Istio does, and
// returns protobuf's form.
func (c *checker) duration(n *Node, path string) (any, bool) {
	d, err := time.ParseDuration(n.value)
	if n.tag != "!!str" || err != nil {
		hint := `write a number with a unit, like "10s", "1m30s" or "250ms"`
		if n.tag == "!!int" || n.tag == "!!float" {
			hint = fmt.Sprintf(`a duration needs a unit: "%ss"`, n.value)
		}
		c.errorf(n, path, hint, "%s is not a duration", n.Describe())
		return nil, false
	}
	sign := ""
	u := uint64(d)
	if d < 0 {
		sign, u = "-", -u
	}
	return fmt.Sprintf("%s%d.%09ds", sign, u/1e9, u%1e9), true
}

func (c *checker) quantity(n *Node, s *Shape, path string) (any, bool) {
	if n.tag == "!!str" {
		if _, err := resource.ParseQuantity(n.value); err != nil {
			c.errorf(n, path, `write it like "500m", "2" or "64Mi"`, "%s is not a quantity", n.Describe())
			return nil, false
		}
		return n.value, true
	}
	v, ok := n.number()
	if !ok {
		return c.wrong(n, s, path)
	}
	if _, err := resource.ParseQuantity(string(v)); err != nil {
		return c.wrong(n, s, path)
	}
	return v, true
}

func (n *Node) bool() bool {
	switch strings.ToLower(n.value) {
	case "true", "y", "yes", "on":
		return true
	}
	return false
}

// number is the JSON form of a YAML number; false for what is none, and for
// infinities and NaN.
func (n *Node) number() (json.Number, bool) {
	text := strings.ReplaceAll(n.value, "_", "")
	switch n.tag {
	case "!!int":
		if i, err := strconv.ParseInt(text, 0, 64); err == nil {
			return json.Number(strconv.FormatInt(i, 10)), true
		}
		if u, err := strconv.ParseUint(text, 0, 64); err == nil {
			return json.Number(strconv.FormatUint(u, 10)), true
		}
	case "!!float":
	default:
		return "", false
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return "", false
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return json.Number(strconv.FormatInt(int64(f), 10)), true
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), true
}
