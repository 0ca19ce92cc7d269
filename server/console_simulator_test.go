package server_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// SB4: the simulator says by what a call is allowed, or what is missing and no
// more, with a button that gives it.
func TestSB4SimulatorInTheConsole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	id := string(n.Example.Client.ID)
	ask := func(q url.Values) answer {
		t.Helper()
		return admin.want(t, http.StatusOK, "/console/simulator?"+q.Encode(), nil)
	}
	admin.want(t, http.StatusOK, "/console/simulator", nil).hasNot(t, "Allowed", "Denied")
	call := url.Values{"client": {id}, "api": {"example"}, "method": {"GET"}, "path": {"/orders/42"}}
	ask(call).has(t, ">Allowed<", "example-client", "default/example-reader#", "granted in workspace default")
	call.Set("method", "POST")
	call.Set("path", "/orders")
	denied := ask(call)
	denied.has(t, ">Denied<", "no rule allows", "What is missing, and no more", "Give the role default/example-writer")
	form := url.Values{}
	for _, f := range regexp.MustCompile(`name="(holder|role|workspace|next)" value="([^"]*)"`).FindAllStringSubmatch(denied.body[strings.Index(denied.body, "What is missing"):], -1) {
		form.Set(f[1], html.UnescapeString(f[2]))
	}
	got := admin.want(t, http.StatusSeeOther, "/console/grants", form)
	back := got.header.Get("Location")
	if !strings.HasPrefix(back, "/console/simulator?") {
		t.Fatalf("the button leads to %s", back)
	}
	admin.want(t, http.StatusOK, back, nil).has(t, ">Allowed<", "The role is given.")

	role := url.Values{"role": {n.roleID(t, "default/example-reader")}, "api": {"example"}, "method": {"DELETE"}, "path": {"/orders/1"}}
	closed := ask(role)
	closed.has(t, ">Denied<")
	closed.hasNot(t, "Give the role")
	for name, change := range map[string]url.Values{
		"no rooms":       {"client": {id}, "api": {"example"}, "method": {"GET"}, "path": {"/orders//1"}},
		"no API":         {"client": {id}, "api": {"nothing"}, "method": {"GET"}, "path": {"/orders"}},
		"both":           {"client": {id}, "role": {"x"}, "api": {"example"}, "method": {"GET"}, "path": {"/orders"}},
		"no such client": {"client": {"<script>"}, "api": {"example"}, "method": {"GET"}, "path": {"/orders"}},
	} {
		got := admin.send(t, "/console/simulator?"+change.Encode(), nil)
		if got.status < 400 || got.status >= 500 || !strings.Contains(got.body, `role="alert"`) || strings.Contains(got.body, "<script>\"") {
			t.Errorf("%s: got %d\n%s", name, got.status, main(got.body))
		}
	}
	admin.want(t, http.StatusOK, "/console/simulator/clients?client=exam", nil).has(t, `<option value="`+id+`">Example client</option>`)
	admin.want(t, http.StatusOK, "/console/simulator/clients?client=nothing+such", nil).hasNot(t, "<option")
}
