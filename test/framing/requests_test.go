package framing

import (
	"slices"
	"testing"
)

// sentinel ends what clients send. Whoever takes it for a body, or misses it,
// frames what comes before differently.
const sentinel = "GET /sentinel HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n"

// checkRequests fails if the proxies frame the bytes differently, and returns
// what Sundog made of them and the kinds of disagreement.
func checkRequests(t testing.TB, sundog *target, peers []*target, in []byte, cut int) (*seen, []string) {
	t.Helper()
	in = append(slices.Clone(in), sentinel...)
	all := append([]*target{sundog}, peers...)
	results := make([]*seen, len(all))
	for i, quiet := range looks {
		together(all, func(i int, p *target) { results[i] = p.requests(t, in, cut, quiet) })
		var findings, kinds []string
		own := results[0]
		if own.wrong != nil {
			t.Fatalf("%.2000q\nsundog:\n%s", in, own)
		}
		for j, peer := range peers {
			v := compare(own, results[j+1], "sundog", peer.name)
			kinds = append(kinds, v.kinds...)
			if v.finding != "" && results[j+1].wrong == nil {
				findings = append(findings, v.finding+"\n"+peer.name+":\n"+results[j+1].String())
			}
			if results[j+1].wrong != nil {
				kinds = append(kinds, peer.name+" writes what can be read in two ways")
			}
		}
		if len(findings) == 0 {
			return own, kinds
		}
		if i == len(looks)-1 {
			for _, f := range findings {
				t.Errorf("%.2000q\n%ssundog:\n%s", in, f, own)
			}
		}
	}
	return results[0], nil
}

// TestRequests sends what is known to smuggle requests past pairs of servers.
func TestRequests(t *testing.T) {
	sundog, peers := targets(t)
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			own, kinds := checkRequests(t, sundog, peers, []byte(v.in), len(v.in)/2)
			var got []int
			for _, m := range own.messages {
				got = append(got, m.status)
			}
			if !slices.Equal(got, v.want) {
				t.Errorf("%.300q: sundog answers %d, want %d\n%s", v.in, got, v.want, own)
			}
			slices.Sort(kinds)
			for _, k := range slices.Compact(kinds) {
				t.Log(k)
			}
		})
	}
}

// FuzzRequests looks for bytes that Sundog and its peers frame differently.
func FuzzRequests(f *testing.F) {
	for i, v := range vectors() {
		if len(v.in) < 4096 {
			f.Add([]byte(v.in), uint16(i*7))
		}
	}
	sundog, peers := targets(f)
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		if len(in) > 8192 {
			return
		}
		_, kinds := checkRequests(t, sundog, peers, in, int(cut))
		note(t, kinds)
	})
}
