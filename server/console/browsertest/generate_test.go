package browsertest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSB2Generate: SB3, QU3, QU10 and DG3, too.
func TestSB2Generate(t *testing.T) {
	each(t, func(t *testing.T, tab *tab) {
		w := start(t)
		w.signIn(tab)
		tab.open(w.URL + "/console/clients")
		tab.in("main", "").click("Generate token")
		tab.see("Step 1 of 2.")
		tab.axe()
		tab.click("Service")
		tab.fill("Name", "nightly-warehouse-sync")
		tab.fill("Description (optional)", "Reads the catalog each night")
		tab.choose("Role", "example-reader: 2 endpoints")
		if !tab.scriptless {
			tab.see("It opens 2 endpoints:")
			tab.see("GET HEAD /orders")
		}
		tab.click("Never")
		tab.see("A token that never expires is a risk.")
		tab.axe()
		tab.screenshot("console-generate")
		tab.click("90 days")
		tab.dontSee("A token that never expires is a risk.")
		tab.in("main", "").click("Generate token")
		tab.see("Save the secret key of “nightly-warehouse-sync”")
		tab.see("This is the only time the secret key is shown.")
		tab.axe()
		tab.screenshot("console-reveal")
		secret := tab.content("client-secret")
		if !strings.HasPrefix(secret, "pst_") {
			t.Fatalf("the secret is of %d characters", len(secret))
		}
		tab.click("I have saved the secret key in a safe place")
		tab.click("Save token")
		if tab.scriptless {
			tab.see("The token is saved, and works now.")
		} else {
			tab.see("The token is active.")
			tab.axe()
			tab.click("Verify")
			tab.see("It works: it got an access token")
			tab.screenshot("console-verified")
		}
		tab.dontReload(w, secret)
	})
}

// dontReload checks that nothing of the console shows a secret any more.
func (tab *tab) dontReload(w *world, secret string) {
	tab.Helper()
	tab.open(w.URL + tab.address())
	tab.dontSee(secret)
	tab.open(w.URL + "/console/clients")
	tab.dontSee(secret)
}

// content is the text of an element, by its id.
func (tab *tab) content(id string) (text string) {
	tab.Helper()
	tab.scripted(func(ctx context.Context) (err error) {
		text, err = evaluate[string](ctx, "document.getElementById("+`"`+id+`"`+")?.textContent ?? ''")
		return err
	})
	return text
}

func TestSB3ReloadShowsNoSecret(t *testing.T) {
	w, tab := start(t), desktop(t)
	w.signIn(tab)
	w.generate(tab, "reloaded")
	secret := tab.content("client-secret")
	if got := tab.address(); !strings.HasSuffix(got, "/save") {
		t.Errorf("the page stands at %s", got)
	}
	tab.open(w.URL + tab.address())
	tab.see("The secret key was shown once, and cannot be shown again.")
	tab.dontSee(secret)
	tab.axe()
	tab.click("New secret key")
	tab.see("This is the only time the secret key is shown.")
	tab.dontSee(secret)
	tab.click("Discard")
	tab.see("The token is discarded. It never worked.")
	tab.dontSee("reloaded")
}

// generate makes a service token that reads the example; its page is open then.
func (w *world) generate(tab *tab, name string) {
	tab.Helper()
	tab.open(w.URL + "/console/clients/new")
	tab.click("Service")
	tab.fill("Name", name)
	tab.choose("Role", "example-reader: 2 endpoints")
	tab.in("main", "").click("Generate token")
	tab.see("Save the secret key of “" + name + "”")
}

// The programs on the page work as they are pasted.
func TestSB2SnippetsWorkAsPasted(t *testing.T) {
	w, tab := start(t), desktop(t)
	w.signIn(tab)
	w.generate(tab, "pasted")
	dir := t.TempDir()
	programs := []struct {
		name, file string
		run        []string
	}{
		{"curl", "run.sh", []string{"sh", "run.sh"}},
		{"Go", "main.go", []string{"go", "run", "main.go"}},
		{"Python", "run.py", []string{"python3", "run.py"}},
		{"Node.js", "run.js", []string{"node", "run.js"}},
		{"Java", "Main.java", []string{"java", "Main.java"}},
	}
	for i, p := range programs {
		text := tab.content("code-" + string(rune('0'+i)))
		if text == "" {
			t.Fatalf("there is no program for %s", p.name)
		}
		if err := os.WriteFile(filepath.Join(dir, p.file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tab.click("I have saved the secret key in a safe place")
	tab.click("Save token")
	tab.see("The token is active.")
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), p.run[0], p.run[1:]...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if errors.Is(err, exec.ErrNotFound) {
				t.Fatalf("%s is not on this machine", p.run[0])
			}
			if err != nil || !strings.Contains(string(out), "/orders") {
				t.Errorf("it ends with %v and says\n%s", err, out)
			}
		})
	}
}
