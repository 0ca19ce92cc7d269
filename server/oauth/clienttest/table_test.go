package clienttest_test

import "strings"

// table is what each library did, in Markdown.
func table(all map[string]given) string {
	var b strings.Builder
	b.WriteString("| library | discovery | `client_secret_basic` | `client_secret_post` | `private_key_jwt` | certificate (mTLS) | DPoP | introspection | revocation | verifies a JWT itself |\n|---|---|---|---|---|---|---|---|---|---|\n")
	yes := func(does bool) string {
		if does {
			return " yes |"
		}
		return " |"
	}
	for _, l := range libraries {
		g := all[l.name]
		b.WriteString("| " + l.name + " |" + yes(g.Discovery != "") + yes(g.Basic != "") + yes(g.Post != "") + yes(g.Signed != "") + yes(g.Presented != "") + yes(g.Proven != "") + yes(g.Introspect != nil) + yes(g.Revoke != 0) + yes(g.Verify != "") + "\n")
	}
	return b.String()
}
