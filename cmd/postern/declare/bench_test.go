package declare_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"postern/cmd/postern/declare"
)

// BenchmarkApply is a client of a file: made on an empty server, and found to be
// as the file says.
func BenchmarkApply(b *testing.B) {
	transport := http.DefaultTransport.(*http.Transport)
	transport.MaxIdleConnsPerHost = 64 // as the command has it
	w := start(b)
	var file strings.Builder
	file.WriteString("kind: role\nname: reader\nworkspace: default\nrules:\n  - {api: example, methods: GET, path: /orders}\n")
	n := 0
	b.Run("create", func(b *testing.B) {
		for range b.N {
			n++
			fmt.Fprintf(&file, "---\nkind: client\nkey: machine-%06d\nworkspace: default\nname: Machine %d\nroles: [reader]\nexpires_in: 90d\n", n, n)
		}
		w.apply(file.String())
	})
	b.Run("unchanged", func(b *testing.B) {
		docs := read(b, file.String())
		b.ResetTimer()
		for range b.N/n + 1 {
			if p, err := declare.Make(b.Context(), w.ask, docs, declare.Options{}); err != nil || len(p.Changes) > 0 {
				b.Fatal(err)
			}
		}
	})
}
