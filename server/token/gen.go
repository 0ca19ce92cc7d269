package token

import (
	"strconv"
	"strings"

	"postern/store"
)

// generations are the counters that revoking, deactivating, deleting and
// restoring a backup raise: of the installation, workspace, account, client and
// secret. A token is dead as soon as one of its five is not the current one.
type generations [5]int64

// Gen returns the current generations as a token carries them, such as
// "1.1.4.2.7". Where a token is for all workspaces, ws is nil and counts as 0.
func Gen(inst *store.Installation, ws *store.Workspace, a *store.Account, c *store.Client, s *store.ClientSecret) string {
	return current(inst, ws, a, c, s).String()
}

func current(inst *store.Installation, ws *store.Workspace, a *store.Account, c *store.Client, s *store.ClientSecret) generations {
	g := generations{0: inst.Generation, 2: a.Generation, 3: c.Generation, 4: s.Generation}
	if ws != nil {
		g[1] = ws.Generation
	}
	return g
}

// String is the numbers with dots between them.
func (g generations) String() string {
	b := make([]byte, 0, 16)
	for i, n := range g {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(b)
}

// parseGenerations reads what String wrote.
func parseGenerations(text string) (generations, bool) {
	var g generations
	i := 0
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseInt(part, 10, 64)
		if i == len(g) || err != nil {
			return generations{}, false
		}
		g[i] = n
		i++
	}
	return g, i == len(g)
}
