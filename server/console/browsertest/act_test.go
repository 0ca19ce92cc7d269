package browsertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Roles of what can be acted on, in Chromium's words.
var (
	clickable = []string{"button", "link", "checkbox", "switch", "radio", "tab", "menuitem", "option", "DisclosureTriangle", "combobox"}
	fillable  = []string{"textbox", "searchbox", "spinbutton", "combobox", "Date", "DateTime", "InputTime"}
)

// part is a part of the page: of this role, and this is in its name or its text.
type part struct{ role, holds string }

// in returns the tab as seen through one part of it, such as
// tab.in("row", "ci-deploy") or tab.in("dialog", "Revoke"). It is looked for
// anew by every act.
func (tab *tab) in(role, holds string) *tab {
	inside := *tab
	inside.parts = append(slices.Clone(tab.parts), part{role, holds})
	return &inside
}

// root finds the node of the part, or of the document.
func (tab *tab) root(ctx context.Context) (cdp.BackendNodeID, error) {
	doc, err := chromedp.Call(ctx, dom.GetDocument, dom.GetDocumentParams{Depth: new(int64(-1))})
	if err != nil {
		return 0, err
	}
	root := doc.Root.BackendNodeID
	for _, p := range tab.parts {
		all, err := perceived(ctx, root)
		if err != nil {
			return 0, err
		}
		var found []node
		for _, n := range all {
			if n.role != p.role {
				continue
			}
			text, err := on[string](ctx, n.id, "function() { return this.innerText }")
			if err != nil {
				return 0, err
			}
			if strings.Contains(n.name, p.holds) || strings.Contains(folded(text), p.holds) {
				found = append(found, n)
			}
		}
		if len(found) != 1 {
			return 0, fmt.Errorf("there are %d of %s with %q", len(found), p.role, p.holds)
		}
		root = found[0].id
	}
	return root, nil
}

// node is what can be perceived, with the role and the name that it is known by.
type node struct {
	id         cdp.BackendNodeID
	role, name string
}

// perceived returns what can be perceived below root.
func perceived(ctx context.Context, root cdp.BackendNodeID) (all []node, err error) {
	got, err := chromedp.Call(ctx, accessibility.QueryAXTree, accessibility.QueryAXTreeParams{BackendNodeID: root})
	if err != nil {
		return nil, err
	}
	for _, n := range got.Nodes {
		if !n.Ignored && n.BackendDOMNodeID != 0 && n.BackendDOMNodeID != root {
			all = append(all, node{n.BackendDOMNodeID, text(n.Role), folded(text(n.Name))})
		}
	}
	return all, nil
}

// control finds what has this name and one of these roles.
func control(ctx context.Context, root cdp.BackendNodeID, label string, roles []string) (cdp.BackendNodeID, error) {
	all, err := perceived(ctx, root)
	if err != nil {
		return 0, err
	}
	var found []cdp.BackendNodeID
	var others []string
	for _, n := range all {
		switch {
		case !slices.Contains(roles, n.role):
		case n.name == folded(label):
			found = append(found, n.id)
		default:
			others = append(others, n.name)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return 0, fmt.Errorf("there is no control %q; there are %q", label, others)
	default:
		return 0, fmt.Errorf("there are %d controls %q; name the part of the page", len(found), label)
	}
}

func text(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	var out string
	if json.Unmarshal(v.Value, &out) != nil {
		return string(v.Value) // a number
	}
	return out
}

// act finds a control by its name, waiting for it, and does something to it.
func (tab *tab) act(verb, label string, roles []string, do func(context.Context, cdp.BackendNodeID) error) {
	tab.Helper()
	var node cdp.BackendNodeID
	tab.until(verb+" "+label, func(ctx context.Context) error {
		root, err := tab.root(ctx)
		if err != nil {
			return err
		}
		node, err = control(ctx, root, label, roles)
		return err
	})
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := do(ctx, node); err != nil {
		tab.Fatalf("%s %s: %v", verb, label, err)
	}
	tab.settle()
}

// click clicks what has this label: a button, a link, a box, a summary. What
// that loads is loaded when it returns.
func (tab *tab) click(label string) {
	tab.Helper()
	tab.act("click", label, clickable, press)
}

// press clicks in the middle of a node, where nothing may lie above it.
func press(ctx context.Context, node cdp.BackendNodeID) error {
	if _, err := chromedp.Call(ctx, dom.ScrollIntoViewIfNeeded, dom.ScrollIntoViewIfNeededParams{BackendNodeID: node}); err != nil {
		return err
	}
	got, err := chromedp.Call(ctx, dom.GetContentQuads, dom.GetContentQuadsParams{BackendNodeID: node})
	if err != nil {
		return err
	}
	if len(got.Quads) == 0 || len(got.Quads[0]) != 8 {
		return errors.New("it has no place on the page")
	}
	q := got.Quads[0]
	x, y := (q[0]+q[2]+q[4]+q[6])/4, (q[1]+q[3]+q[5]+q[7])/4
	above, err := on[string](ctx, node, `function(x, y) {
		const hit = document.elementFromPoint(x, y)
		return !hit || this.contains(hit) || hit.closest("label")?.control === this ? "" : hit.outerHTML.slice(0, 200)
	}`, x, y)
	if err != nil {
		return err
	}
	if above != "" {
		return errors.New("this lies above it: " + above)
	}
	return chromedp.Do(ctx, chromedp.MouseClickXY(x, y))
}

// fill writes into the field of this label, in place of what is there.
func (tab *tab) fill(label, value string) {
	tab.Helper()
	tab.act("fill", label, fillable, func(ctx context.Context, node cdp.BackendNodeID) error {
		if err := press(ctx, node); err != nil {
			return err
		}
		if _, err := on[*runtime.RemoteObject](ctx, node, "function() { this.select() }"); err != nil {
			return err
		}
		if value == "" {
			return chromedp.Do(ctx, chromedp.KeyEvent(kb.Delete))
		}
		return chromedp.Do(ctx, call(input.InsertText, input.InsertTextParams{Text: value}))
	})
	if got := tab.value(label); got != value {
		tab.Fatalf("fill %s: it took %d characters of %d", label, len(got), len(value))
	}
}

// value is what the field of this label holds.
func (tab *tab) value(label string) (value string) {
	tab.Helper()
	tab.act("read", label, fillable, func(ctx context.Context, node cdp.BackendNodeID) (err error) {
		value, err = on[string](ctx, node, "function() { return this.value }")
		return err
	})
	return value
}

// choose takes an option of the list of this label, by its text.
func (tab *tab) choose(label, option string) {
	tab.Helper()
	tab.act("choose from", label, []string{"combobox", "listbox"}, func(ctx context.Context, node cdp.BackendNodeID) error {
		there, err := on[bool](ctx, node, `function(text) {
			const option = [...this.options].find(o => o.label.trim() === text && !o.disabled)
			if (!option) return false
			this.focus()
			option.selected = true
			this.dispatchEvent(new Event("input", {bubbles: true}))
			this.dispatchEvent(new Event("change", {bubbles: true}))
			return true
		}`, option)
		if err == nil && !there {
			return fmt.Errorf("there is no option %q", option)
		}
		return err
	})
}
