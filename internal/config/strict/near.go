package strict

import "strings"

// Nearest is the name that differs least from the word; "" if none is near.
func Nearest(word string, names []string) string {
	best, most := "", max(1, len(word)/3)
	word = strings.ToLower(word)
	for _, name := range names {
		if d := Distance(word, strings.ToLower(name)); d <= most {
			best, most = name, d-1
		}
	}
	if best == "" && len(word) > 3 {
		for _, name := range names {
			if strings.HasPrefix(strings.ToLower(name), word) {
				return name
			}
		}
	}
	return best
}

// Distance is Levenshtein's, with bounded work.
func Distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 1 << 30
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
