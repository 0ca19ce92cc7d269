package console

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/server/admin"
	"postern/store"
)

// apiRow is an API as people read it.
type apiRow struct {
	*store.API

	Owner  string   // its workspace
	Shares []string // other workspaces, each with the tags of its part
	Mine   bool     // the chosen workspace owns it, and it can be changed
}

// Path is its page, or one below it.
func (r apiRow) Path(below string) string {
	return "/console/endpoints/" + url.PathEscape(r.Name) + below
}

// Own reports whether it is Postern's own, which stays as it is.
func (r apiRow) Own() bool { return r.Name == store.PosternAPI }

// Life is how long its tokens live, or nothing where that is the installation's.
func (r apiRow) Life() string {
	if r.AccessTTL == 0 {
		return ""
	}
	return plural(int(r.AccessTTL), "second", "seconds")
}

// Takes are the odd parts of paths that its upstream takes as ordinary.
func (r apiRow) Takes() (out []string) {
	for _, each := range []struct {
		is   bool
		text string
	}{
		{r.Semicolon, "; in a segment"},
		{r.EncodedSlash, "%2F in a segment"},
		{r.DoubleSlash, "// in a path"},
		{r.NonASCII, "bytes beyond ASCII"},
		{r.FoldCase, "small letters for capitals"},
	} {
		if each.is {
			out = append(out, each.text)
		}
	}
	return out
}

func (v *visit) apiRow(api *store.API) apiRow {
	row := apiRow{API: api, Owner: v.console.Admin.WorkspaceName(api.Workspace)}
	for _, s := range api.SharedWith {
		text := v.console.Admin.WorkspaceName(s.Workspace)
		if len(s.Tags) > 0 {
			text += ": " + strings.Join(s.Tags, ", ")
		}
		row.Shares = append(row.Shares, text)
	}
	row.Mine = !row.Own() && v.console.Admin.May(v.by, "api.edit", api.Workspace)
	return row
}

// apisPage is the list of APIs.
type apisPage struct {
	Search string
	Rows   []apiRow
}

func apis(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	p := apisPage{Search: v.Query("search")}
	all, err := v.console.Admin.APIs(v.Request.Context(), v.by)
	if err != nil {
		return err
	}
	want := strings.ToLower(strings.TrimSpace(p.Search))
	for _, api := range all {
		if api.OpenTo(v.workspace.ID) && strings.Contains(strings.ToLower(api.Name+" "+api.Description+" "+api.Audience), want) {
			p.Rows = append(p.Rows, v.apiRow(api))
		}
	}
	// What people made comes first.
	slices.SortStableFunc(p.Rows, func(x, y apiRow) int {
		switch {
		case x.Own() == y.Own():
			return 0
		case x.Own():
			return 1
		}
		return -1
	})
	return v.show("apis", http.StatusOK, page{Title: "Endpoints", Section: "endpoints", Data: p})
}

// apiPage is an API with its catalogue.
type apiPage struct {
	apiRow

	Search      string
	Rows        []endpointRow
	Found       int // endpoints that the search finds
	First, Next string
	Gateways    []link // clients that may ask about it
	Roles       []link // that have rules about it
	Visible     bool   // the person may list roles
}

// endpointRow is an entry of the catalogue.
type endpointRow struct {
	store.Endpoint

	At     int      // its place
	Public bool     // needs no token
	Roles  []string // that open it, the first of them
	More   int      // roles that are not named
	Asked  bool     // it is known which roles open it
}

const (
	endpointsAPage = 100
	rolesAsked     = 30 // of a workspace, what they open is looked at
	rolesNamed     = 3
)

// apiOf reads the API that an address names.
func (v *visit) apiOf() (apiRow, error) {
	api, err := v.console.Admin.API(v.Request.Context(), v.by, v.Param("api"))
	if err != nil {
		return apiRow{}, err
	}
	return v.apiRow(api), nil
}

func apiCrumbs(more ...crumb) []crumb {
	return append([]crumb{{"Endpoints", "/console/endpoints"}}, more...)
}

func showAPI(v *visit) error {
	row, err := v.apiOf()
	if err != nil {
		return err
	}
	p := apiPage{apiRow: row, Search: v.Query("search")}
	for i, e := range row.Endpoints {
		p.Rows = append(p.Rows, endpointRow{Endpoint: e, At: i})
	}
	for i, e := range row.Public {
		p.Rows = append(p.Rows, endpointRow{Endpoint: e, At: i, Public: true})
	}
	want := strings.ToLower(strings.TrimSpace(p.Search))
	p.Rows = slices.DeleteFunc(p.Rows, func(e endpointRow) bool {
		return !strings.Contains(strings.ToLower(e.Methods+" "+e.Path+" "+e.Summary+" "+strings.Join(e.Tags, " ")), want)
	})
	p.Found = len(p.Rows)
	from, _ := strconv.Atoi(v.Query("from"))
	from = min(max(from, 0), p.Found)
	at := func(from int) string {
		return row.Path("?" + url.Values{"search": {p.Search}, "from": {strconv.Itoa(from)}}.Encode() + "#catalogue")
	}
	if from > 0 {
		p.First = at(0)
	}
	if p.Rows = p.Rows[from:]; len(p.Rows) > endpointsAPage {
		p.Rows, p.Next = p.Rows[:endpointsAPage], at(from+endpointsAPage)
	}
	if err := p.openedBy(v); err != nil {
		return err
	}
	names, err := v.console.Admin.ClientNames(v.Request.Context(), v.by, row.Introspectors...)
	if err != nil {
		return err
	}
	for _, id := range row.Introspectors {
		p.Gateways = append(p.Gateways, link{string(id), names[id]})
	}
	return v.show("api", http.StatusOK, page{Title: row.Name, Section: "endpoints", Crumbs: apiCrumbs(), Data: p})
}

// openedBy adds which roles of the chosen workspace open each endpoint.
func (p *apiPage) openedBy(v *visit) error {
	if v.workspace == nil || len(p.Rows) == 0 {
		return nil
	}
	all, err := v.console.Admin.Roles(v.Request.Context(), v.by, v.workspace.Name)
	if may, err := allowed(err); !may {
		return err
	}
	p.Visible = true
	asked := 0
	opens := map[string][]string{}
	for _, r := range all {
		if slices.ContainsFunc(r.Rules, func(rule store.Rule) bool { return rule.API == p.Name }) {
			p.Roles = append(p.Roles, link{string(r.ID), r.Ref})
		}
		if r.Workspace != v.workspace.ID || asked == rolesAsked {
			continue
		}
		asked++
		one := v.opens(r)
		for _, e := range one.Endpoints {
			if e.API.ID == p.ID {
				key := e.Endpoint.Methods + " " + e.Endpoint.Path
				opens[key] = append(opens[key], r.Name())
			}
		}
	}
	for i := range p.Rows {
		row := &p.Rows[i]
		names := opens[row.Methods+" "+row.Path]
		row.Asked = !row.Public
		row.Roles, row.More = names[:min(len(names), rolesNamed)], max(len(names)-rolesNamed, 0)
	}
	return nil
}

// apiForm is the form that makes or edits an API.
type apiForm struct {
	Form       form
	API        *apiRow // nil for a new one
	Action     string
	Back       string
	Formats    []option
	Algorithms []option
	Types      []option
}

// apiFlags are the boxes of an API's form, by the field of its input.
var apiFlags = []string{"semicolon", "encoded_slash", "double_slash", "non_ascii", "fold_case", "evaluate_ids", "delegation", "status_list"} //nolint:gochecknoglobals // a constant

// values are what the form shows of an API at first.
func (r apiRow) values() url.Values {
	var gateways []string
	for _, id := range r.Introspectors {
		gateways = append(gateways, string(id))
	}
	out := url.Values{
		"description": {r.Description}, "audience": {r.Audience}, "hosts": {strings.Join(r.Hosts, "\n")}, "shared_with": {strings.Join(r.Shares, "\n")},
		"introspectors": {strings.Join(gateways, "\n")}, "format": {string(r.Format)}, "algorithm": {r.Algorithm}, "token_type": {r.TokenType},
		"workspace_from": {r.WorkspaceFrom}, "certificate_header": {r.CertificateHeader}, "access_ttl": {""}, "max_staleness": {""}, "revision": {revisionOf(r.Revision)},
	}
	for name, seconds := range map[string]int64{"access_ttl": r.AccessTTL, "max_staleness": r.MaxStaleness} {
		if seconds > 0 {
			out.Set(name, strconv.FormatInt(seconds, 10))
		}
	}
	for i, is := range []bool{r.Semicolon, r.EncodedSlash, r.DoubleSlash, r.NonASCII, r.FoldCase, r.EvaluateIDs, r.Delegation, r.StatusList} {
		if is {
			out.Set(apiFlags[i], "on")
		}
	}
	return out
}

func (v *visit) apiFormPage(status int, f form, row *apiRow) error {
	p := apiForm{
		Form: f, API: row, Action: "/console/endpoints/new", Back: "/console/endpoints",
		Formats:    []option{{"", "As configured", "", false}, {"jwt", "JWT", "verified offline", false}, {"opaque", "Opaque", "introspected", false}},
		Algorithms: []option{{"", "As configured", "", false}, {"ES256", "ES256", "", false}, {"EdDSA", "EdDSA", "", false}, {"RS256", "RS256", "", false}},
		Types:      []option{{"", "at+jwt", "RFC 9068", false}, {"JWT", "JWT", "for libraries that refuse at+jwt", false}},
	}
	title, crumbs := "New API", apiCrumbs()
	if row != nil {
		p.Action, p.Back, title = row.Path("/edit"), row.Path(""), "Edit "+row.Name
		crumbs = apiCrumbs(crumb{row.Name, row.Path("")})
	}
	return v.show("api-form", status, page{Title: title, Section: "endpoints", Crumbs: crumbs, Data: p})
}

// apiInput reads the form; what is no sense is a fault of it.
func (f *form) apiInput() admin.APIInput {
	text := func(name string) *string { return new(strings.TrimSpace(f.Values.Get(name))) }
	hosts, gateways := lines(f.Values.Get("hosts")), lines(f.Values.Get("introspectors"))
	format := store.TokenFormat(f.Values.Get("format"))
	in := admin.APIInput{
		Description: text("description"), Audience: text("audience"), Hosts: &hosts, Introspectors: &gateways, Format: &format,
		Algorithm: text("algorithm"), TokenType: text("token_type"), WorkspaceFrom: text("workspace_from"), CertificateHeader: text("certificate_header"), SharedWith: new(sharesOf(f.Values.Get("shared_with"))),
	}
	in.AccessTTL, in.MaxStaleness = f.seconds("access_ttl"), f.seconds("max_staleness")
	for i, to := range []**bool{&in.Semicolon, &in.EncodedSlash, &in.DoubleSlash, &in.NonASCII, &in.FoldCase, &in.EvaluateIDs, &in.Delegation, &in.StatusList} {
		*to = new(on(f.Values, apiFlags[i]))
	}
	return in
}

// sharesOf reads lines of a workspace and, behind a colon, the tags of its part.
func sharesOf(text string) []store.Share {
	out := []store.Share{}
	for line := range strings.Lines(text) {
		workspace, tags, _ := strings.Cut(line, ":")
		if workspace = strings.TrimSpace(workspace); workspace != "" {
			out = append(out, store.Share{Workspace: store.WorkspaceID(workspace), Tags: lines(tags)})
		}
	}
	return out
}

func newAPIPage(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	if !v.may("api.create") {
		return &admin.Error{Kind: admin.Forbidden, Message: "you may not register APIs in workspace " + v.workspace.Name + "; ask an owner or admin of it"}
	}
	return v.apiFormPage(http.StatusOK, form{Values: url.Values{}}, nil)
}

func createAPI(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	f := form{Values: v.form}
	in := f.apiInput()
	in.Name, in.Workspace = strings.TrimSpace(v.form.Get("name")), v.workspace.Name
	var (
		api *store.API
		err error
	)
	if len(f.Summary) == 0 {
		if api, err = v.console.Admin.CreateAPI(v.Request.Context(), v.by, in); err == nil {
			return v.done("api created", v.apiRow(api).Path(""))
		}
	}
	return v.apiFault(&f, err, nil)
}

func editAPIPage(v *visit) error {
	row, err := v.apiOf()
	if err != nil {
		return err
	}
	return v.apiFormPage(http.StatusOK, form{Values: row.values()}, &row)
}

func editAPI(v *visit) error {
	row, err := v.apiOf()
	if err != nil {
		return err
	}
	f := form{Values: v.form}
	in := f.apiInput()
	if len(f.Summary) == 0 {
		if _, err = v.console.Admin.EditAPI(v.Request.Context(), v.by, row.Name, in, formRevision(v.form)); err == nil {
			return v.done("api saved", row.Path(""))
		}
	}
	return v.apiFault(&f, err, &row)
}

// apiFault shows the form again, with what is wrong.
func (v *visit) apiFault(f *form, err error, row *apiRow) error {
	status := http.StatusUnprocessableEntity
	if err != nil {
		if !f.take(err) {
			return err
		}
		status = statusOf(err)
	}
	if row != nil && isStale(err) {
		saved := row.values()
		var labels [][2]string
		for _, name := range slices.Sorted(maps.Keys(saved)) {
			if name != "revision" {
				labels = append(labels, [2]string{name, sentence(strings.ReplaceAll(name, "_", " "))})
			}
		}
		f.overtaken(saved, labels...)
	}
	return v.apiFormPage(status, *f, row)
}

func confirmDeleteAPI(v *visit) error {
	row, err := v.apiOf()
	if err != nil {
		return err
	}
	return v.askDeleteAPI(row, nil)
}

func (v *visit) askDeleteAPI(row apiRow, refused error) error {
	c := confirmation{
		Text:   "No token can be got for it any more, and no gateway gets an answer about it. Its catalogue goes with it.",
		Action: row.Path("/delete"), Button: "Delete", Danger: true, Back: row.Path(""), Section: "endpoints",
		Hidden: []kept{{"revision", revisionOf(row.Revision)}},
	}
	status := http.StatusOK
	if refused != nil {
		if !c.Form.take(refused) {
			return refused
		}
		status = statusOf(refused)
	}
	return v.ask(status, "Delete the API “"+row.Name+"”?", c, apiCrumbs(crumb{row.Name, row.Path("")})...)
}

func deleteAPI(v *visit) error {
	row, err := v.apiOf()
	if err != nil {
		return err
	}
	if err := v.console.Admin.DeleteAPI(v.Request.Context(), v.by, row.Name, formRevision(v.form)); err != nil {
		return v.askDeleteAPI(row, err)
	}
	return v.done("api deleted", "/console/endpoints")
}
