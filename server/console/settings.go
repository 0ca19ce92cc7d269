package console

import (
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/server/admin"
	"postern/store"
)

const day = 24 * time.Hour

// lifeLabel spells a lifetime of a workspace, in seconds.
func lifeLabel(seconds int64) string {
	switch life := time.Duration(seconds) * time.Second; {
	case seconds == store.LifetimeNever:
		return "Never"
	case life%(365*day) == 0:
		return plural(int(life/(365*day)), "year", "years")
	default:
		return duration(life)
	}
}

func revisionOf(n int64) string { return strconv.FormatInt(n, 10) }

// settingsPage is the form with the settings of a workspace.
type settingsPage struct {
	Form      form
	Name      string
	Path      string
	System    bool // API access of that one stays on
	Create    []option
	Lifetimes []option
	Leaks     []option
}

// usualLifetimes are offered everywhere, in seconds.
var usualLifetimes = []int64{30 * 86400, 60 * 86400, 90 * 86400, 365 * 86400, store.LifetimeNever} //nolint:gochecknoglobals // a constant

// settingsOf are the values of the form for a workspace.
func (v *visit) settingsOf(w *store.Workspace) url.Values {
	out := url.Values{
		"description": {w.Description}, "who_may_create": {string(w.WhoMayCreate)}, "leak_policy": {string(w.LeakPolicy)},
		"revision": {revisionOf(w.Revision)}, "max_lifetime": {""},
	}
	if w.LeakPolicy == "" {
		out.Set("leak_policy", string(store.LeakRevokeSecret))
	}
	for name, is := range map[string]bool{"api_access": w.APIAccess, "never_forbidden": w.NeverForbidden, "personal_auto": w.PersonalAuto} {
		if is {
			out.Set(name, "on")
		}
	}
	if w.MaxLifetime > 0 {
		out.Set("max_lifetime", strconv.FormatFloat(float64(w.MaxLifetime)/day.Seconds(), 'f', -1, 64))
	}
	for _, seconds := range w.Lifetimes {
		out.Add("lifetimes", revisionOf(seconds))
	}
	var people []string
	for _, id := range w.PersonalPeople {
		people = append(people, v.console.Admin.HolderName(v.Request.Context(), store.HolderID(id)))
	}
	out.Set("personal_people", strings.Join(people, "\n"))
	return out
}

func settings(v *visit) error {
	w, err := v.workspaceOf()
	if err != nil {
		return err
	}
	if !v.console.Admin.May(v.by, "workspace.edit", w.ID) {
		return &admin.Error{Kind: admin.Forbidden, Message: "you may not change the settings of workspace " + w.Name + " (workspace.edit); ask an owner of it"}
	}
	return v.showSettings(http.StatusOK, w, form{Values: v.settingsOf(w)})
}

func (v *visit) showSettings(status int, w *store.Workspace, f form) error {
	p := settingsPage{
		Form: f, Name: w.Name, Path: workspacePath(w.ID), System: w.Name == store.SystemWorkspace,
		Create: []option{
			{Value: string(store.CreateAdministrators), Label: "Administrators"},
			{Value: string(store.CreateNamed), Label: "Administrators and named people"},
			{Value: string(store.CreateEveryone), Label: "Everyone with a role here"},
		},
		Leaks: []option{
			{Value: string(store.LeakRevokeSecret), Label: "Revoke the secret"},
			{Value: string(store.LeakRevokeClient), Label: "Revoke the whole token"},
			{Value: string(store.LeakAlert), Label: "Only tell people"},
		},
	}
	all := slices.Clone(usualLifetimes)
	for _, seconds := range w.Lifetimes {
		if !slices.Contains(all, seconds) {
			all = slices.Insert(all, len(all)-1, seconds)
		}
	}
	for _, seconds := range all {
		p.Lifetimes = append(p.Lifetimes, option{Value: revisionOf(seconds), Label: lifeLabel(seconds)})
	}
	return v.show("settings", status, page{Title: "Settings of " + w.Name, Section: "workspaces", Crumbs: workspaceCrumbs(crumb{w.Name, p.Path}), Data: p})
}

// days reads a number of days; empty is 0.
func days(text string) (time.Duration, bool) {
	if text = strings.TrimSpace(text); text == "" {
		return 0, true
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n > 36500 {
		return 0, false
	}
	return time.Duration(math.Round(n*day.Seconds())) * time.Second, true
}

// settingsInput reads what was typed, and says what is wrong with it.
func (v *visit) settingsInput(f *form) admin.WorkspaceInput {
	text := func(name string) string { return f.Values.Get(name) }
	description, create, leaks := text("description"), store.WhoMayCreate(text("who_may_create")), store.LeakPolicy(text("leak_policy"))
	access, never, auto := on(f.Values, "api_access"), on(f.Values, "never_forbidden"), on(f.Values, "personal_auto")
	people := lines(text("personal_people"))
	var only []admin.Expiry
	for _, value := range f.Values["lifetimes"] {
		seconds, err := strconv.ParseInt(value, 10, 64)
		switch {
		case seconds == store.LifetimeNever:
			only = append(only, admin.Expiry{Never: true})
		case err != nil || seconds < 1 || seconds > int64(36500*day/time.Second):
			f.fault("lifetimes", "is none of those that are offered")
		default:
			only = append(only, admin.Expiry{For: time.Duration(seconds) * time.Second})
		}
	}
	if other, ok := days(text("other_lifetime")); !ok {
		f.fault("other_lifetime", "must be a number of days, such as 14")
	} else if other > 0 {
		only = append(only, admin.Expiry{For: other})
	}
	longest, ok := days(text("max_lifetime"))
	if !ok {
		f.fault("max_lifetime", "must be a number of days, such as 90, or nothing")
	}
	return admin.WorkspaceInput{
		Description: &description, APIAccess: &access, WhoMayCreate: &create, MaxLifetime: &longest, NeverForbidden: &never,
		PersonalPeople: &people, Lifetimes: &only, PersonalAuto: &auto, LeakPolicy: &leaks,
	}
}

func changeSettings(v *visit) error {
	w, err := v.workspaceOf()
	if err != nil {
		return err
	}
	f := form{Values: v.form}
	in := v.settingsInput(&f)
	if len(f.Summary) > 0 {
		return v.showSettings(http.StatusUnprocessableEntity, w, f)
	}
	if w.APIAccess && !*in.APIAccess && !on(v.form, "sure") {
		return v.askAccessOff(w)
	}
	if _, err = v.console.Admin.EditWorkspace(v.Request.Context(), v.by, string(w.ID), in, formRevision(v.form)); err == nil {
		return v.done("workspace saved", workspacePath(w.ID))
	}
	if !f.take(err) {
		return err
	}
	if isStale(err) {
		f.overtaken(v.settingsOf(w), settingsShown...)
	}
	return v.showSettings(statusOf(err), w, f)
}

// settingsShown are the fields that are compared when two change them.
//
//nolint:gochecknoglobals // a constant
var settingsShown = [][2]string{
	{"description", "Description"},
	{"api_access", "API access"},
	{"who_may_create", "Who may make personal tokens"},
	{"personal_people", "Named people"},
	{"max_lifetime", "Longest life in days"},
	{"lifetimes", "Lifetimes"},
	{"never_forbidden", "Tokens must expire"},
	{"personal_auto", "A token at sign-up"},
	{"leak_policy", "After a leak"},
}

// askAccessOff says what dies when API access is switched off.
func (v *visit) askAccessOff(w *store.Workspace) error {
	c := confirmation{
		Text:   "No token of this workspace works any more, at once: no new access tokens, and no calls. When you switch it on again, the tokens work again; the access tokens that are out stay dead for good. This stops:",
		Action: workspacePath(w.ID) + "/settings", Button: "Switch off and save", Danger: true, Hidden: []kept{{"sure", "on"}},
	}
	stops, err := v.console.Admin.Clients(v.Request.Context(), v.by, admin.ClientList{Workspace: string(w.ID), Query: store.ClientQuery{Status: store.ClientActive, Limit: clientsShown}})
	if may, err := allowed(err); err != nil {
		return err
	} else if may {
		c.Listed = titles("Token", stops)
	}
	c.Listed = append(c.Listed, "Personal tokens, for calls in this workspace")
	for _, name := range slices.Sorted(maps.Keys(v.form)) {
		for _, value := range v.form[name] {
			c.Hidden = append(c.Hidden, kept{name, value})
		}
	}
	return v.workspaceQuestion(w, nil, "Switch API access of “"+w.Name+"” off?", c)
}
