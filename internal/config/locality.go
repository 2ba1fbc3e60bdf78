package config

import (
	"fmt"
	"strings"

	istio "istio.io/api/networking/v1alpha3"
)

// checkLocalityLb checks what Istio's validation asks of localityLbSetting.
func checkLocalityLb(r *reporter, path string, l *istio.LocalityLoadBalancerSetting) {
	if l == nil {
		return
	}
	if len(l.Distribute) > 0 && (len(l.Failover) > 0 || len(l.FailoverPriority) > 0) {
		r.errorf(path, "keep one of them", "distribute excludes failover and failoverPriority")
	}
	for i, d := range l.Distribute {
		at := fmt.Sprintf("%s.distribute[%d]", path, i)
		if d.From == "" {
			r.missing(at, `write "region/zone/subzone", with * for any`, "from is required")
		}
		sum := uint64(0)
		for locality, weight := range sorted(d.To) {
			if weight == 0 {
				r.errorf(KeyPath(at+".to", locality), "leave the locality out", "a weight must not be 0")
			}
			sum += uint64(weight)
		}
		if len(d.To) > 0 && sum != 100 {
			r.errorf(at+".to", "", "the weights must add up to 100; these make %d", sum)
		}
	}
	for i, f := range l.Failover {
		at := fmt.Sprintf("%s.failover[%d]", path, i)
		if f.From == f.To {
			r.errorf(at, "", "from and to are the same region")
		}
		for name, region := range sorted(map[string]string{"from": f.From, "to": f.To}) {
			if strings.ContainsAny(region, "/*") {
				r.errorf(at+"."+name, "write the name of a region alone", "%q is not a region", region)
			}
		}
	}
}

func checkWarmup(r *reporter, path string, w *istio.WarmupConfiguration) {
	if w == nil {
		return
	}
	if w.Duration == nil {
		r.missing(path, "", "duration is required")
	}
	checkDuration(r, path+".duration", w.Duration, "")
	if p := w.MinimumPercent; p != nil && !(p.Value >= 0 && p.Value <= 100) {
		r.errorf(path+".minimumPercent", "", "percentage %g is not in the range 0..100", p.Value)
	}
	if a := w.Aggression; a != nil && !(a.Value >= 1) {
		r.errorf(path+".aggression", "1 makes the share grow evenly", "aggression must be at least 1; this is %g", a.Value)
	}
}
