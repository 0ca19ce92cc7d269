package console

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"postern/server/admin"
	"postern/server/telemetry"
	"postern/store"
)

//go:embed templates
var templateFiles embed.FS

// parse reads the templates: each page with the frame and the controls.
func (c *Console) parse() map[string]*template.Template {
	frame := template.Must(template.New("").Funcs(c.funcs()).ParseFS(templateFiles, "templates/*.html"))
	files, err := fs.Glob(templateFiles, "templates/pages/*.html")
	if err != nil || len(files) == 0 {
		panic("console: no templates") // they are part of the program
	}
	out := map[string]*template.Template{}
	for _, file := range files {
		one := template.Must(template.Must(frame.Clone()).ParseFS(templateFiles, file))
		out[strings.TrimSuffix(path.Base(file), ".html")] = one
	}
	return out
}

// page is what a page gives to its template, as .Data and beside it.
type page struct {
	Title   string
	Lead    string  // what it is for, in a sentence
	Section string  // the entry of the sidebar that is lit
	Crumbs  []crumb // the way here
	Alone   bool    // without the sidebar
	Data    any
}

type crumb struct{ Text, Path string }

// view is what a template gets.
type view struct {
	page
	Person     *store.Account
	Workspace  *store.Workspace
	Workspaces []*store.Workspace
	Groups     []group
	Toast      string
	Theme      string
	Here       string // this page
	RequestID  string
	visit      *visit
}

// May reports whether the rules let the person do an operation in the workspace.
func (v *view) May(operation string) bool { return v.visit.by != nil && v.visit.may(operation) }

// group is a part of the sidebar.
type group struct {
	Title   string
	Entries []entry
}

// entry is a link of the sidebar.
type entry struct {
	Section, Text, Path, Icon, Tally string

	needs  string // the operation that it shows; empty is none
	system string // the same, of what is everybody's
}

// contentPolicy is the content security policy of every page (W3C CSP level 3).
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// show sends a page, whole or not at all.
func (v *visit) show(name string, status int, p page) error {
	w := &view{
		page: p, Workspace: v.workspace, Workspaces: v.workspaces, Here: v.Request.URL.RequestURI(),
		RequestID: telemetry.RequestID(v.Request.Context()), visit: v, Toast: v.takeToast(),
	}
	w.Theme, _ = v.Cookie(themeCookie)
	layout := "alone"
	if v.by != nil {
		w.Person = v.by.Account()
		if !p.Alone && !w.Person.MustChange {
			layout = "frame"
			w.Groups = v.sidebar()
		}
	}
	if v.Request.Method != http.MethodGet {
		w.Here = home
	}
	var out bytes.Buffer
	if err := v.console.pages[name].ExecuteTemplate(&out, layout, w); err != nil {
		v.console.Log.ErrorContext(v.Request.Context(), "a page could not be made", "page", name, "error", err)
		v.headers()
		v.String(http.StatusInternalServerError, "This page could not be made. Tell your administrator the number of this request: %s", w.RequestID)
		return nil
	}
	v.headers()
	v.Data(status, "text/html; charset=utf-8", out.Bytes())
	return nil
}

// headers are those of every page.
func (v *visit) headers() {
	v.Header("Cache-Control", "no-store")
	referrer := "same-origin" // an address here says what somebody administers
	if v.FullPath() == "/console/invitation" {
		referrer = "no-referrer" // that one holds a token
	}
	v.Header("Referrer-Policy", referrer)
	v.Header("X-Frame-Options", "DENY")
	v.Header("Cross-Origin-Opener-Policy", "same-origin")
	v.Header("Content-Security-Policy", contentPolicy)
}

// sidebar is what the person may see of the chosen workspace.
func (v *visit) sidebar() []group {
	groups := []group{
		{"", []entry{
			{Section: "overview", Text: "Overview", Path: home, Icon: "layout-dashboard"},
			{Section: "clients", Text: "Tokens", Path: "/console/clients", Icon: "key-round", needs: "client.list"},
			{Section: "usage", Text: "Usage", Path: "/console/usage", Icon: "activity", needs: "usage.read"},
			{Section: "audit", Text: "Audit log", Path: "/console/audit", Icon: "scroll-text", needs: "audit.list"},
		}},
		{"Access control", []entry{
			{Section: "roles", Text: "Roles", Path: "/console/roles", Icon: "shield", needs: "role.list"},
			{Section: "endpoints", Text: "Endpoints", Path: "/console/endpoints", Icon: "network", needs: "api.list"},
			{Section: "simulator", Text: "Simulator", Path: "/console/simulator", Icon: "flask-conical", needs: "check"},
			{Section: "accounts", Text: "Users", Path: "/console/accounts", Icon: "user", needs: "account.list"},
			{Section: "teams", Text: "Teams", Path: "/console/teams", Icon: "users", needs: "team.list"},
			{Section: "workspaces", Text: "Workspaces", Path: "/console/workspaces", Icon: "box"},
			{Section: "webhooks", Text: "Webhooks", Path: "/console/webhooks", Icon: "webhook", needs: "webhook.list"},
		}},
		{"System", []entry{
			{Section: "system", Text: "Health & keys", Path: "/console/system", Icon: "gauge", system: "key.list"},
			{Section: "reference", Text: "API reference", Path: "/console/api-reference", Icon: "book-open"},
			{Section: "docs", Text: "Docs", Path: "/console/docs", Icon: "life-buoy"},
		}},
	}
	for i := range groups {
		groups[i].Entries = slices.DeleteFunc(groups[i].Entries, func(e entry) bool {
			if v.workspace == nil {
				return e.Section != "reference" && e.Section != "docs"
			}
			return e.needs != "" && !v.may(e.needs) || e.system != "" && !v.maySystem(e.system)
		})
	}
	return slices.DeleteFunc(groups, func(g group) bool { return len(g.Entries) == 0 })
}

// failed answers with a page that says what went wrong, and what to do.
func (v *visit) failed(err error) {
	e, known := errors.AsType[*admin.Error](err)
	if !known {
		e = &admin.Error{Message: "something went wrong here, and is in the server's log; try again shortly", Err: err}
	}
	status := statusOf(err)
	if status >= http.StatusInternalServerError {
		v.console.Log.ErrorContext(v.Request.Context(), "a page of the console failed", "path", v.FullPath(), "error", cmp.Or(e.Err, err))
	}
	v.limited(err)
	data := struct {
		Error   *admin.Error
		Retry   bool // the same request may go well in a moment
		Changed bool // somebody else changed it meanwhile
	}{e, !known || e.Kind == admin.Unavailable || e.Kind == admin.TooMany, e.Kind == admin.Stale}
	title := map[int]string{
		http.StatusForbidden: "You may not do this", http.StatusNotFound: "There is nothing here",
		http.StatusServiceUnavailable: "Not available at the moment", http.StatusTooManyRequests: "Too many attempts",
		http.StatusConflict: "This is not possible now", http.StatusPreconditionFailed: "Somebody else was faster",
	}[status]
	if title == "" {
		title = "This did not work"
	}
	_ = v.show("error", status, page{Title: title, Data: data})
}

// messages are what a page says after a change, by what was done.
//
//nolint:gochecknoglobals // a table
var messages = map[string]string{
	"signed out":        "You are signed out.",
	"password changed":  "Your password is changed. Other sessions of yours have ended; your tokens go on.",
	"factor removed":    "Your second factor is removed. Your password suffices.",
	"nothing selected":  "No token was selected.",
	"clients revoked":   "The tokens have been successfully revoked.",
	"client revoked":    "The token has been successfully revoked.",
	"client restored":   "The token has been successfully restored.",
	"client deleted":    "User token successfully deleted.",
	"client saved":      "The token is saved, and works now.",
	"client discarded":  "The token is discarded. It never worked.",
	"client edited":     "The token is changed.",
	"client taken over": "You are responsible for the token now.",
	"secret retired":    "The secret key is retired; what it minted has ended.",

	"api created":  "The API is registered. List its endpoints, then make a role that opens some of them.",
	"api saved":    "The API is saved.",
	"api imported": "The catalogue is that of the document now.",
	"api deleted":  "The API is deleted.",

	"role given":       "The role is given.",
	"role taken":       "The role is taken back.",
	"limits changed":   "The limits are changed.",
	"role created":     "The role is created.",
	"role saved":       "The role is saved.",
	"role deleted":     "The role is deleted.",
	"role rolled back": "The role is as it was then.",

	"account saved":         "The account is saved.",
	"account deactivated":   "The person is deactivated; sessions and personal tokens have ended.",
	"account reactivated":   "The person is reactivated.",
	"account deleted":       "The account is deleted.",
	"account adopted":       "Provisioning can manage this person now.",
	"link shown":            "That link was shown once, and is not shown again. If it is lost, make a new one.",
	"second factor removed": "The second factor is removed.",

	"team created":   "The team is created.",
	"team saved":     "The team is saved.",
	"team adopted":   "Provisioning can manage this team now.",
	"team deleted":   "The team is deleted.",
	"member added":   "Added to the team.",
	"member removed": "Taken out of the team.",

	"key rotated": "A new key is published. It signs once verifiers can know it.",
	"key revoked": "The key is revoked, and everything that it signed is dead.",

	"webhook created": "The webhook is made.",
	"webhook saved":   "The webhook is saved.",
	"webhook deleted": "The webhook is deleted.",
	"webhook tested":  "A test event is on its way.",
	"delivery again":  "The event is on its way once more.",
	"key shown":       "That signing key was shown once, and is not shown again. If it is lost, make a new one.",

	"workspace created":     "The workspace is created. You are its owner.",
	"workspace saved":       "The settings are saved.",
	"workspace transferred": "The workspace has another owner now.",
	"workspace deleted":     "The workspace is deleted.",
}

// toast makes the next page show a message.
func (v *visit) toast(message string) {
	if _, known := messages[message]; !known {
		panic("console: there is no message " + message)
	}
	cookie := v.console.cookie(toastCookie, strings.ReplaceAll(message, " ", "-"), 60)
	http.SetCookie(v.Writer, cookie)
}

func (v *visit) takeToast() string {
	key, err := v.Cookie(toastCookie)
	if err != nil || key == "" {
		return ""
	}
	http.SetCookie(v.Writer, v.console.cookie(toastCookie, "", -1))
	return messages[strings.ReplaceAll(key, "-", " ")]
}
