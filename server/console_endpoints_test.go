package server_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// upload sends a form with a file.
func (b *browser) upload(t testing.TB, path string, form url.Values, file string) answer {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, values := range form {
		if err := w.WriteField(name, values[0]); err != nil {
			t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("file", "openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(part, file); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.send(t, path, url.Values{}, func(r *http.Request) {
		r.Header.Set("Content-Type", w.FormDataContentType())
		r.Body, r.ContentLength = io.NopCloser(&body), int64(body.Len())
	})
}

// DP7, DP14: an API, its endpoints and whom it is shared with.
func TestAPIsInTheConsole(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	admin.want(t, http.StatusOK, "/console/endpoints", nil).has(t, ">example</a>", "Postern’s own")
	n.made(t, "/workspaces", map[string]any{"name": "sales"})
	form := url.Values{
		"name": {"billing"}, "audience": {"not a uri"}, "description": {"Invoices"}, "hosts": {"billing.example.com"}, "shared_with": {"sales: paid"},
		"access_ttl": {"soon"},
	}
	admin.want(t, http.StatusUnprocessableEntity, "/console/endpoints/new", form).has(t, "must be a number of seconds", `value="not a uri"`)
	form.Set("access_ttl", "900")
	admin.want(t, http.StatusUnprocessableEntity, "/console/endpoints/new", form).has(t, "audience")
	form.Set("audience", "https://billing.example.com")
	form.Set("shared_with", "nowhere")
	admin.want(t, http.StatusUnprocessableEntity, "/console/endpoints/new", form).has(t, "there is no workspace")
	form.Set("shared_with", "sales: paid")
	admin.want(t, http.StatusSeeOther, "/console/endpoints/new", form)
	at := "/console/endpoints/billing"
	admin.want(t, http.StatusOK, at, nil).has(t, "https://billing.example.com", "sales: paid", "900 seconds", "No endpoints are listed")

	page := admin.want(t, http.StatusOK, at+"/endpoint", nil)
	one := url.Values{"revision": {page.hidden(t, "revision")}, "methods": {"GE(T"}, "path": {"/invoices/{invoice}"}, "summary": {"Read"}, "tags": {"paid, open"}}
	admin.want(t, http.StatusUnprocessableEntity, at+"/endpoint", one).has(t, `value="GE(T"`, "id=\"e-methods\"")
	one.Set("methods", "GET HEAD")
	admin.want(t, http.StatusSeeOther, at+"/endpoint", one)
	admin.want(t, http.StatusPreconditionFailed, at+"/endpoint", one).has(t, "Somebody else changed this API")
	admin.want(t, http.StatusOK, at, nil).has(t, "/invoices/{invoice}", "GET HEAD", "paid", "No role of default")
	page = admin.want(t, http.StatusOK, at+"/endpoint?at=0", nil)
	page.has(t, `value="/invoices/{invoice}"`, `value="paid, open"`)
	one.Set("revision", page.hidden(t, "revision"))
	one.Set("at", "0")
	one.Set("summary", "Read one")
	admin.want(t, http.StatusSeeOther, at+"/endpoint", one)
	public := url.Values{"revision": {admin.want(t, http.StatusOK, at+"/endpoint", nil).hidden(t, "revision")}, "methods": {"GET"}, "path": {"/health"}, "public": {"on"}}
	admin.want(t, http.StatusSeeOther, at+"/endpoint", public)
	admin.want(t, http.StatusOK, at+"?search=read+one", nil).has(t, "Read one", "1 endpoint<")
	admin.want(t, http.StatusOK, at, nil).has(t, "no token is needed")
	ask := admin.want(t, http.StatusOK, at+"/endpoint/remove?at=0&public=on", nil)
	ask.has(t, "Take out GET /health?", "From now on the call needs a token")
	admin.want(t, http.StatusSeeOther, at+"/endpoint/remove", url.Values{"at": {"0"}, "public": {"on"}, "revision": {ask.hidden(t, "revision")}})
	admin.want(t, http.StatusOK, at, nil).hasNot(t, "/health")

	// Two edits: the second sees the first.
	edit := admin.want(t, http.StatusOK, at+"/edit", nil)
	saved := url.Values{"revision": {edit.hidden(t, "revision")}, "audience": {"https://billing.example.com"}, "description": {"first"}}
	admin.want(t, http.StatusSeeOther, at+"/edit", saved)
	saved.Set("description", "second")
	admin.want(t, http.StatusPreconditionFailed, at+"/edit", saved).has(t, "is now: first", "second")
	admin.want(t, http.StatusOK, at, nil).hasNot(t, "sales: paid") // what the form left out is taken back

	n.made(t, "/roles", map[string]any{"name": "reader", "workspace": "default", "rules": []any{map[string]any{"api": "billing", "methods": "GET", "path": "/invoices/**"}}})
	n.settle(t)
	admin.want(t, http.StatusOK, at, nil).has(t, ">reader</td>", "default/reader</a>")
	ask = admin.want(t, http.StatusOK, at+"/delete", nil)
	admin.want(t, http.StatusConflict, at+"/delete", url.Values{"revision": {ask.hidden(t, "revision")}}).has(t, "Role default/reader has rules about it")
	admin.want(t, http.StatusSeeOther, "/console/roles/"+n.roleID(t, "default/reader")+"/delete", url.Values{"revision": {"1"}, "typed": {"default/reader"}})
	admin.want(t, http.StatusSeeOther, at+"/delete", url.Values{"revision": {ask.hidden(t, "revision")}})
	admin.want(t, http.StatusNotFound, at, nil)
	// What is built in has no buttons, and a form that is sent all the same is refused.
	admin.want(t, http.StatusOK, "/console/endpoints/postern", nil).hasNot(t, "Add endpoint", "Import OpenAPI")
	admin.want(t, http.StatusForbidden, "/console/endpoints/postern/import", nil)
}

func TestOpenAPIIsImportedAfterADryRun(t *testing.T) {
	n := start(t)
	admin := n.console(t)
	const at = "/console/endpoints/example/import"
	const document = `{"openapi":"3.0.3","info":{"title":"x","version":"1"},"paths":{
		"/orders":{"get":{"summary":"Every order","responses":{"200":{"description":"ok"}}}},
		"/files/{name}.json":{"put":{"summary":"<script>alert(1)</script>","responses":{"200":{"description":"ok"}}}}}}`
	catalogue := func() string { return n.want(t, http.StatusOK, http.MethodGet, "/apis/example", nil).body }
	before := catalogue()
	for text, why := range map[string]string{
		"": "is required", "nonsense": "no OpenAPI 3 document", "a: &a [*a, *a]\n": "", strings.Repeat("[", 100): "", `{"openapi":"3.0.0","info":{"title":"x","version":"1"}}`: "with paths",
	} {
		got := admin.want(t, http.StatusUnprocessableEntity, at, url.Values{"document": {text}})
		if !strings.Contains(got.body, why) {
			t.Errorf("%.20q: the page does not say %q\n%s", text, why, main(got.body))
		}
	}
	dry := admin.want(t, http.StatusOK, at, url.Values{"document": {document}})
	dry.has(t, "Added", "/files/{name}", "&lt;script&gt;", "Taken out", "a parameter is a whole segment here", "Change the catalogue")
	if again := admin.upload(t, at, url.Values{}, document); again.hidden(t, "packed") != dry.hidden(t, "packed") {
		t.Error("a file leads to something else than its text")
	}
	if catalogue() != before {
		t.Fatal("the dry run changed the catalogue")
	}
	form := url.Values{"packed": {dry.hidden(t, "packed")}, "apply": {"on"}, "revision": {dry.hidden(t, "revision")}}
	admin.want(t, http.StatusSeeOther, at, form)
	admin.want(t, http.StatusOK, "/console/endpoints/example", nil).has(t, "/files/{name}", "Every order")
	// Who saw it as it was before sees what it would change now.
	admin.want(t, http.StatusOK, at, form).has(t, "Somebody else changed this API meanwhile", "Nothing to change")
	admin.want(t, http.StatusUnprocessableEntity, at, url.Values{"packed": {"!"}}).has(t, "is not whole any more")
	if got := admin.upload(t, at, url.Values{}, document+strings.Repeat(" ", 3<<20)); got.status != http.StatusUnprocessableEntity {
		t.Errorf("3 MB: got %d", got.status)
	}
}
