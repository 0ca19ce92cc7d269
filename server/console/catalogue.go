package console

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/server/admin"
	"postern/store"
)

// endpointForm is the form of one entry of a catalogue.
type endpointForm struct {
	Form   form
	API    apiRow
	New    bool
	Public bool // it is one of those that need no token
}

// At is where the form goes.
func (f endpointForm) At() string { return f.API.Path("/endpoint") }

// Removal is where it can be taken out.
func (f endpointForm) Removal() string {
	return f.API.Path("/endpoint/remove?" + url.Values{"at": {f.Form.Values.Get("at")}, "public": {f.Form.Values.Get("public")}, "revision": {f.Form.Values.Get("revision")}}.Encode())
}

// entries are the part of an API that a form is about: its catalogue, or what
// needs no token.
func (r apiRow) entries(public bool) []store.Endpoint {
	if public {
		return r.Public
	}
	return r.Endpoints
}

// entry finds the place that a form or an address names; false for a new one.
func (r apiRow) entry(at string, public bool) (int, bool) {
	i, err := strconv.Atoi(at)
	return i, err == nil && i >= 0 && i < len(r.entries(public))
}

func endpointPage(v *visit) error {
	row, err := v.apiOf()
	if err != nil {
		return err
	}
	public := v.Query("public") != ""
	f := form{Values: url.Values{"revision": {revisionOf(row.Revision)}, "methods": {"GET"}, "public": {v.Query("public")}}}
	if i, found := row.entry(v.Query("at"), public); found {
		e := row.entries(public)[i]
		f.Values = url.Values{
			"at": {strconv.Itoa(i)}, "public": {v.Query("public")}, "revision": {revisionOf(row.Revision)}, "methods": {e.Methods}, "path": {e.Path},
			"summary": {e.Summary}, "tags": {strings.Join(e.Tags, ", ")},
		}
		if e.GraphQL {
			f.Values.Set("graphql", "on")
		}
	}
	return v.endpointForm(http.StatusOK, row, f)
}

func (v *visit) endpointForm(status int, row apiRow, f form) error {
	public := f.Values.Get("public") != ""
	_, found := row.entry(f.Values.Get("at"), public)
	title := "New endpoint of " + row.Name
	if found {
		title = "Edit an endpoint of " + row.Name
	}
	return v.show("endpoint", status, page{
		Title: title, Section: "endpoints", Crumbs: apiCrumbs(crumb{row.Name, row.Path("")}), Data: endpointForm{f, row, !found, public},
	})
}

// saveEndpoint adds or changes one entry. The form is about the API as it was when
// it was opened: places are of that one.
func saveEndpoint(v *visit) error {
	row, err := v.apiOf()
	if err != nil {
		return err
	}
	f, public := form{Values: v.form}, v.form.Get("public") != ""
	e := store.Endpoint{
		Methods: strings.Join(lines(v.form.Get("methods")), " "), Path: strings.TrimSpace(v.form.Get("path")), Summary: strings.TrimSpace(v.form.Get("summary")),
		Tags: lines(v.form.Get("tags")), GraphQL: on(v.form, "graphql"),
	}
	list := slices.Clone(row.entries(public))
	i, found := row.entry(v.form.Get("at"), public)
	if found {
		list[i] = e
	} else {
		i, list = len(list), append(list, e)
	}
	if err := v.saveEntries(row, public, list); err != nil {
		if at := "endpoints[" + strconv.Itoa(i) + "]."; f.takeAt(err, at, "public["+strconv.Itoa(i)+"].") {
			if isStale(err) {
				f.Summary = []string{"Somebody else changed this API while you did. Nothing of yours is saved yet: look at its page, then save again."}
				f.Values.Set("revision", revisionOf(row.Revision))
				f.Values.Del("at") // the places are others now: it would be a new one
			}
			return v.endpointForm(statusOf(err), row, f)
		}
		return err
	}
	return v.done("api saved", row.Path("#catalogue"))
}

// takeAt is take, for faults at one of some places: they are of fields here.
func (f *form) takeAt(err error, places ...string) bool {
	e := asRefusal(err)
	if e == nil {
		return false
	}
	if len(e.Faults) == 0 {
		return f.take(err)
	}
	for _, fault := range e.Faults {
		name := fault.Place
		for _, place := range places {
			name = strings.TrimPrefix(name, place)
		}
		f.fault(field(name), fault.Message)
	}
	return true
}

// saveEntries puts a list into the place of an API's.
func (v *visit) saveEntries(row apiRow, public bool, list []store.Endpoint) error {
	in := admin.APIInput{Endpoints: &list}
	if public {
		in = admin.APIInput{Public: &list}
	}
	_, err := v.console.Admin.EditAPI(v.Request.Context(), v.by, row.Name, in, formRevision(v.form))
	return err
}

func confirmRemoveEndpoint(v *visit) error {
	row, err := v.apiOf()
	if err != nil {
		return err
	}
	public := v.Query("public") != ""
	i, found := row.entry(cmp.Or(v.Query("at"), "0"), public)
	if !found {
		return &admin.Error{Kind: admin.NotFound, Message: "the catalogue has no such entry; somebody may have changed it"}
	}
	e := row.entries(public)[i]
	text := "Rules that name the path go on, but the catalogue lists it no more. Where the API is shared by tags, it is not shared any longer."
	if public {
		text = "From now on the call needs a token, and a role that allows it."
	}
	return v.confirm("Take out "+e.Methods+" "+e.Path+"?", confirmation{
		Text: text, Action: row.Path("/endpoint/remove"), Button: "Take out", Danger: true, Back: row.Path("#catalogue"), Section: "endpoints",
		Hidden: []kept{{"at", strconv.Itoa(i)}, {"public", v.Query("public")}, {"revision", revisionOf(row.Revision)}},
	}, apiCrumbs(crumb{row.Name, row.Path("")})...)
}

func removeEndpoint(v *visit) error {
	row, err := v.apiOf()
	if err != nil {
		return err
	}
	public := v.form.Get("public") != ""
	i, found := row.entry(v.form.Get("at"), public)
	if !found {
		return &admin.Error{Kind: admin.NotFound, Message: "the catalogue has no such entry; somebody may have changed it"}
	}
	if err := v.saveEntries(row, public, slices.Delete(slices.Clone(row.entries(public)), i, i+1)); err != nil {
		return err
	}
	return v.done("api saved", row.Path("#catalogue"))
}

// importForm is the page that reads an OpenAPI document.
type importForm struct {
	Form     form
	API      apiRow
	Packed   string // the document, once it was read: it is sent again to apply it
	Warnings []string
	Added    []store.Endpoint
	Removed  []store.Endpoint
	Changed  []store.Endpoint
	Same     int
}

// Nothing reports whether the document says what the catalogue says.
func (f importForm) Nothing() bool { return len(f.Added)+len(f.Removed)+len(f.Changed) == 0 }

// importShown is how many endpoints of each kind a dry run lists.
const importShown = 200

// First are the endpoints that are listed of a kind.
func (f importForm) First(of []store.Endpoint) []store.Endpoint {
	return of[:min(len(of), importShown)]
}

func importPage(v *visit) error {
	row, err := v.apiOf()
	if err != nil {
		return err
	}
	if !row.Mine {
		return &admin.Error{Kind: admin.Forbidden, Message: "you may not change this API; ask an owner or admin of workspace " + row.Owner}
	}
	return v.importForm(http.StatusOK, row, importForm{Form: form{Values: url.Values{}}})
}

func (v *visit) importForm(status int, row apiRow, p importForm) error {
	p.API = row
	return v.show("import", status, page{Title: "Import OpenAPI into " + row.Name, Section: "endpoints", Crumbs: apiCrumbs(crumb{row.Name, row.Path("")}), Data: p})
}

// importOpenAPI shows what a document would change and, sent again, changes that.
func importOpenAPI(v *visit) error {
	row, err := v.apiOf()
	if err != nil {
		return err
	}
	p := importForm{Form: form{Values: url.Values{"document": {v.form.Get("document")}}}}
	document, fault := v.document()
	if fault != "" {
		p.Form.fault("document", fault)
		return v.importForm(http.StatusUnprocessableEntity, row, p)
	}
	apply := on(v.form, "apply")
	_, found, err := v.console.Admin.ImportOpenAPI(v.Request.Context(), v.by, row.Name, document, formRevision(v.form), !apply)
	if err != nil {
		if !p.Form.take(err) {
			return err
		}
		if !apply || !isStale(err) {
			return v.importForm(statusOf(err), row, p)
		}
		p.Form.Summary = []string{"Somebody else changed this API meanwhile. This is what the document would change now."}
		if _, found, err = v.console.Admin.ImportOpenAPI(v.Request.Context(), v.by, row.Name, document, 0, true); err != nil {
			return err
		}
		apply = false
	}
	if apply {
		return v.done("api imported", row.Path("#catalogue"))
	}
	p.compare(row.Endpoints, found.Endpoints)
	p.Packed, p.Warnings = pack(document), found.Warnings
	return v.importForm(http.StatusOK, row, p)
}

// document is what was pasted, uploaded, or read before.
func (v *visit) document() (text []byte, fault string) {
	if packed := v.form.Get("packed"); packed != "" {
		if text = unpack(packed); text == nil {
			return nil, "is not whole any more; choose it again"
		}
		return text, ""
	}
	if m := v.Request.MultipartForm; m != nil && len(m.File["file"]) > 0 && m.File["file"][0].Size > 0 {
		file, err := m.File["file"][0].Open()
		if err != nil {
			return nil, "could not be read; choose it again"
		}
		defer file.Close()
		if text, err = io.ReadAll(io.LimitReader(file, maxUpload)); err != nil {
			return nil, "could not be read; choose it again"
		}
		return text, ""
	}
	if text = []byte(v.form.Get("document")); len(bytes.TrimSpace(text)) == 0 {
		return nil, "is required: paste it, or choose a file"
	}
	return text, ""
}

// compare tells what an import adds, changes and takes out.
func (f *importForm) compare(old, next []store.Endpoint) {
	key := func(e store.Endpoint) string { return e.Methods + " " + e.Path }
	was := map[string]store.Endpoint{}
	for _, e := range old {
		was[key(e)] = e
	}
	for _, e := range next {
		before, there := was[key(e)]
		delete(was, key(e))
		switch {
		case !there:
			f.Added = append(f.Added, e)
		case before.Summary != e.Summary || before.GraphQL != e.GraphQL || !slices.Equal(before.Tags, e.Tags):
			f.Changed = append(f.Changed, e)
		default:
			f.Same++
		}
	}
	for _, e := range old {
		if _, left := was[key(e)]; left {
			f.Removed = append(f.Removed, e)
		}
	}
}

// pack makes a document small enough to go along in a form.
func pack(document []byte) string {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		panic(err) // the level is one
	}
	_, _ = w.Write(document) // into memory
	_ = w.Close()
	return base64.RawURLEncoding.EncodeToString(out.Bytes())
}

// unpack returns the document, or nil for what pack never made.
func unpack(text string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	document, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(raw)), maxUpload))
	if err != nil || len(document) == 0 {
		return nil
	}
	return document
}
