package cli

import (
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
)

// once leaves out that an object as a whole is of no use where other errors say why.
func once(problems []config.Problem) []config.Problem {
	errors := map[string]int{}
	for _, p := range problems {
		if p.Severity == config.Error {
			errors[p.Object]++
		}
	}
	return slices.DeleteFunc(problems, func(p config.Problem) bool {
		return p.Severity == config.Error && p.Field == "spec" && errors[p.Object] > 1 && strings.HasPrefix(p.Message, "cannot be used: encoding policy")
	})
}
