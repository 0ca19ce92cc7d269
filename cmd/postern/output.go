package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"gopkg.in/yaml.v3"
)

// output is the form that data is shown in: -o.
type output struct{ form string }

func (o *output) flag(c *cobra.Command) {
	c.PersistentFlags().VarP(o, "output", "o", "table, json or yaml")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

// String is for the flag.
func (o *output) String() string {
	if o.form == "" {
		return "table"
	}
	return o.form
}

// Type is for the flag.
func (o *output) Type() string { return "form" }

// Set is for the flag.
func (o *output) Set(text string) error {
	switch text {
	case "table", "json", "yaml":
		o.form = text
		return nil
	}
	return fmt.Errorf("must be table, json or yaml")
}

// show writes an answer: the whole JSON of it, or what a person reads.
func (o *output) show(w io.Writer, answer []byte, table func(*page)) error {
	switch o.String() {
	case "json":
		var out bytes.Buffer
		if err := json.Indent(&out, bytes.TrimSpace(answer), "", "  "); err != nil {
			return fmt.Errorf("the answer is no JSON: %w", err)
		}
		out.WriteByte('\n')
		_, err := w.Write(out.Bytes())
		return err
	case "yaml":
		var doc yaml.Node // JSON is YAML; a node keeps the order of names and the digits of numbers
		if err := yaml.Unmarshal(answer, &doc); err != nil {
			return fmt.Errorf("the answer is no JSON: %w", err)
		}
		blockStyle(&doc)
		e := yaml.NewEncoder(w)
		e.SetIndent(2)
		return e.Encode(&doc)
	default:
		p := &page{width: terminalWidth(w)}
		table(p)
		_, err := io.WriteString(w, p.text.String())
		return err
	}
}

// page is what a person reads. It is put together first and written at once.
type page struct {
	text  strings.Builder
	width int // how many columns a table may have; 0 is any number
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(&p.text, format, args...) }

func (p *page) println(args ...any) { fmt.Fprintln(&p.text, args...) }

// blockStyle spells a document as people write YAML. A text keeps its quotes
// where some reader would take it for something else without, such as yes.
func blockStyle(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode && len(n.Content) > 0 {
		n.Style = 0
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		if plain, err := yaml.Marshal(n.Value); err == nil && string(plain) == n.Value+"\n" {
			n.Style = 0
		}
	}
	for _, inner := range n.Content {
		blockStyle(inner)
	}
}

// terminalWidth is how many columns a table may have; 0 is any number, since
// nobody reads a pipe.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}

// printable replaces what would move a terminal's cursor, hide or reorder text:
// some of what is shown was typed by others.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}
