package shippedtest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"postern/server/gateway/shipped"
)

var update = flag.Bool("update", false, "write the table and the files of the guide anew")

const (
	guide  = "../../../docs/gateways.md"
	folder = "../../../docs/gateways"
)

// outcomes are what the matrix showed: of each gateway and case, a remark.
type outcomes struct {
	mu  sync.Mutex
	all map[[2]string]string
}

var results = &outcomes{all: map[[2]string]string{}}

func (o *outcomes) add(gateway, name, remark string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[[2]string{gateway, name}] = remark
}

// table is the outcomes in Markdown.
func (o *outcomes) table() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b strings.Builder
	b.WriteString("| |")
	for _, g := range kinds {
		b.WriteString(" " + g.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(kinds)) + "\n")
	for _, c := range matrix {
		b.WriteString("| " + c.name + " |")
		for _, g := range kinds {
			b.WriteString(" " + o.all[[2]string{g.name, c.name}] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// The guide has every configuration as it is shipped.
func TestTheGuideHasWhatIsShipped(t *testing.T) {
	for _, name := range shipped.Names() {
		text, err := shipped.Config(name, shipped.Example())
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, shipped.File(name))
		if *update {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != string(text) {
			t.Errorf("%s is not what is shipped (%v); run this test with -update", path, err)
		}
		source, err := os.ReadFile(guide)
		if err != nil || !strings.Contains(string(source), fmt.Sprintf("(gateways/%s)", shipped.File(name))) {
			t.Errorf("%s does not mention %s (%v)", guide, path, err)
		}
	}
}
