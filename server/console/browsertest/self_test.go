package browsertest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'"

// serve serves pages made for a test, under the console's policy, and a
// script.
func serve(t *testing.T, body, script string) string {
	t.Helper()
	page := func(w http.ResponseWriter, body string) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><title>A page</title>%s</html>`, body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { page(w, body) })
	mux.HandleFunc("GET /script.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = fmt.Fprint(w, script)
	})
	mux.HandleFunc("POST /arrive", func(w http.ResponseWriter, _ *http.Request) { page(w, "<main><h1>Arrived</h1></main>") })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// What a page complains about is seen: each of these would fail the test, were
// it not expected.
func TestComplaintsAreSeen(t *testing.T) {
	for _, tt := range []struct{ name, body, script, complaint string }{
		{"an inline style", `<p style="color: red">Red</p>`, "", "style-src"},
		{"an inline script", `<script>document.title = "other"</script>`, "", "script-src"},
		{"a picture from elsewhere", `<img alt="" src="https://example.com/x.png">`, "", "img-src"},
		{"an exception", `<script src="script.js"></script>`, `throw new Error("broken")`, "exception at "},
		{"a rejection that nobody handles", `<script src="script.js"></script>`, `Promise.reject(new Error("broken"))`, "exception at "},
		{"an error on the console", `<script src="script.js"></script>`, `console.error("broken")`, "console.error"},
		{"a script that is not there", `<script src="other.js"></script>`, "", "other.js: 404"},
		{"a request that fails", `<script src="script.js"></script>`, `fetch("nowhere")`, "nowhere: 404"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tab := desktop(t)
			tab.open(serve(t, tt.body, tt.script))
			tab.settle()
			all := tab.watch.complaints()
			if len(all) == 0 || !strings.Contains(strings.Join(all, "\n"), tt.complaint) {
				t.Errorf("got %q, want one of %s", all, tt.complaint)
			}
			tab.expect("") // all of them
		})
	}
	t.Run("nothing", func(t *testing.T) {
		tab := desktop(t)
		tab.open(serve(t, `<p>Fine</p><script src="script.js"></script>`, `document.title = "fine"`))
		tab.expect("something")
		if all := tab.watch.complaints(); len(all) != 1 || !strings.HasPrefix(all[0], "not at all") {
			t.Errorf("got %q, want that nothing came", all)
		}
		tab.watch.expected = nil
	})
}

func TestAxeSeesWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ body, rule string }{
		{`<main><h1>Fine</h1><label>Name <input></label></main>`, ""},
		{`<main><input></main>`, "label"},
		{`<main><p><font color="#999999">Grey on white</font></p></main>`, "color-contrast"},
	} {
		tab := desktop(t)
		tab.open(serve(t, tt.body, ""))
		if got := rules(tab.violations()); got != tt.rule {
			t.Errorf("%s: got %q, want %q", tt.body, got, tt.rule)
		}
		tab.watch.faults = nil
	}
}

// An act returns when what it began is done, be it a page or a request of script.
func TestActsWaitForWhatTheyBegin(t *testing.T) {
	form := `<main><p>Before</p><form method="post" action="/arrive"><label>Name <input name="name"></label><button>Send</button></form></main>`
	for _, l := range []look{looks[0], looks[len(looks)-1]} {
		tab := newTab(t, l)
		for range 3 {
			tab.open(serve(t, form, ""))
			tab.click("Send")
			if got := tab.text(); got != "Arrived" {
				t.Errorf("after a click: %q", got)
			}
			tab.open(serve(t, form, ""))
			tab.fill("Name", "ann")
			tab.key("Enter")
			if got := tab.text(); got != "Arrived" {
				t.Errorf("after Enter: %q", got)
			}
		}
	}
	tab := desktop(t)
	tab.open(serve(t, `<main><p>Before</p><button>Send</button></main><script src="script.js"></script>`, `document.querySelector("button").onclick = async () => {
		const answer = await fetch("/arrive", {method: "POST"})
		document.querySelector("p").textContent = (await answer.text()).includes("Arrived") ? "Arrived" : "Lost"
	}`))
	tab.click("Send")
	tab.see("Arrived")
	tab.dontSee("Before")
}

// A control is found by the name that a person reads, in the part where they look,
// and acts on what a person can reach.
func TestActsFindWhatAPersonWould(t *testing.T) {
	tab := desktop(t)
	tab.open(serve(t, `<main><table>
		<tr><th>Name</th><th>State</th></tr>
		<tr><td>ci-deploy</td><td><button type="button">Revoke</button> <output></output></td></tr>
		<tr><td>nightly</td><td><button type="button">Revoke</button> <output></output></td></tr>
	</table>
	<details><summary>More</summary><p>The rest</p></details>
	<form><label>Role <select name="role"><option>reader</option><option>writer</option></select></label>
	<label><input type="checkbox" name="agree"> I agree</label>
	<label>Comment <textarea name="comment">old</textarea></label>
	<button type="button" hidden>Hidden</button></form></main>
	<script src="script.js"></script>`, `
		for (const b of document.querySelectorAll("tr button")) b.onclick = () => b.nextElementSibling.textContent = "revoked"`))
	tab.in("row", "nightly").click("Revoke")
	tab.in("row", "nightly").see("revoked")
	tab.in("row", "ci-deploy").dontSee("revoked")
	tab.dontSee("The rest")
	tab.click("More")
	tab.see("The rest")
	tab.choose("Role", "writer")
	if got := tab.value("Role"); got != "writer" {
		t.Errorf("the chosen role is %q", got)
	}
	tab.click("I agree")
	if got := tab.fields(); got != "role=writer&agree=on&comment=old" {
		t.Errorf("the form holds %q", got)
	}
	tab.fill("Comment", "new")
	tab.click("I agree")
	if got := tab.fields(); got != "role=writer&comment=new" {
		t.Errorf("the form holds %q", got)
	}
	for label, why := range map[string]string{"Revoke": "there are 2", "Hidden": "there is no control", "I": "there is no control"} {
		root, err := tab.root(tab.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := control(tab.ctx, root, label, clickable); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("looking for %s: %v, want that %s", label, err, why)
		}
	}
}

// fields are what the form would send.
func (tab *tab) fields() string {
	tab.Helper()
	got, err := evaluate[string](tab.ctx, `new URLSearchParams(new FormData(document.forms[0])).toString()`)
	if err != nil {
		tab.Fatal(err)
	}
	return got
}

// What lies below something else cannot be clicked.
func TestWhatIsCoveredCannotBeClicked(t *testing.T) {
	tab := desktop(t)
	tab.open(serve(t, `<main><button>Below</button></main><div id="above"></div><script src="script.js"></script>`,
		`Object.assign(document.querySelector("#above").style, {position: "fixed", inset: 0})`))
	root, err := tab.root(tab.ctx)
	if err != nil {
		t.Fatal(err)
	}
	below, err := control(tab.ctx, root, "Below", clickable)
	if err != nil {
		t.Fatal(err)
	}
	if err := press(tab.ctx, below); err == nil || !strings.Contains(err.Error(), `id="above"`) {
		t.Errorf("a click on what is covered: %v", err)
	}
}
