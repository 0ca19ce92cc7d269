package declare

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"postern/server/api"
	"postern/store"
)

// The actions.
const (
	create = "create"
	update = "update"
	remove = "delete"
)

// FieldChange is a field before and after, each a line for a text or one of a
// list.
type FieldChange struct {
	Field string   `json:"field"`
	Old   []string `json:"old"`
	New   []string `json:"new"`
}

// Change is one thing that is not as a document says.
type Change struct {
	Action    string        `json:"action"`
	Kind      string        `json:"kind"`
	Workspace string        `json:"workspace,omitempty"`
	Name      string        `json:"name"`
	Fields    []FieldChange `json:"fields,omitempty"`
	Done      *bool         `json:"done,omitempty"`  // absent in a plan
	Error     string        `json:"error,omitempty"` // why it was not done

	phase int
	doc   *Document
	old   *Record
}

// Key names what is changed.
func (c *Change) Key() Key { return Key{c.Kind, c.Workspace, c.Name} }

// Plan is what to do, in the order in which it is done.
type Plan struct {
	Changes   []*Change `json:"changes"`
	Unchanged int       `json:"unchanged"`
	Notes     []string  `json:"notes"` // what differs and stays, and what is left out

	state *State
}

// Options say how documents become a plan.
type Options struct {
	Prune bool // delete what no document names
	Self  Self
}

// Self is who asks, which is never deleted.
type Self struct {
	Client, Account string // ids; empty where they are not known
}

// SelfOf finds the account of the client that asks.
func SelfOf(ctx context.Context, server Server, client string) (Self, error) {
	c, err := ask[api.Client](ctx, server, Request{Method: http.MethodGet, Path: pathOf(kindClient, under(client))})
	if err != nil {
		return Self{}, fmt.Errorf("find out who asks: %w", err)
	}
	self := Self{Client: client}
	if c.Account != nil {
		self.Account = c.Account.ID
	}
	return self, nil
}

// Make compares documents with the server. Its error joins a *Fault for each
// thing in them that cannot be.
func Make(ctx context.Context, server Server, docs []*Document, o Options) (*Plan, error) {
	if err := same(docs); err != nil {
		return nil, err
	}
	state, err := readState(ctx, server, scopeOf(docs, o.Prune))
	if err != nil {
		return nil, err
	}
	p := &planner{Plan: &Plan{Changes: []*Change{}, Notes: []string{}, state: state}, docs: map[Key]*Document{}, newAccounts: map[string]bool{}}
	for _, doc := range docs {
		p.docs[doc.Key] = doc
	}
	p.depth = depths(p)
	p.check(docs)
	for _, doc := range docs {
		p.add(doc)
	}
	if err := errors.Join(p.faults...); err != nil {
		return nil, err
	}
	if o.Prune {
		p.prune(docs, o.Self)
	}
	slices.SortStableFunc(p.Changes, func(a, b *Change) int { return a.phase - b.phase })
	return p.Plan, nil
}

// scopeOf is what has to be known for documents.
func scopeOf(docs []*Document, prune bool) scope {
	s := scope{kinds: map[string]bool{}, workspaces: []string{}}
	referred := map[string]bool{}
	within := map[string]bool{}
	for _, doc := range docs {
		s.kinds[doc.Kind] = true
		if doc.Kind == kindWorkspace {
			within[doc.Name] = true
		} else if doc.Workspace != "" {
			within[doc.Workspace] = true
		}
		_, licence := doc.values["licence"]
		s.accounts = s.accounts || doc.Kind == kindAccount || doc.Kind == kindTeam || doc.values["account"] != nil || licence || doc.values["personal_people"] != nil
		s.teams = s.teams || doc.Kind == kindTeam || strings.HasPrefix(doc.Name, "team ")
		introspectors, _ := doc.values["introspectors"].([]string)
		for _, ref := range introspectors {
			if w, _, ok := strings.Cut(ref, "/"); ok {
				referred[w] = true
			}
		}
	}
	if prune && s.kinds[kindGrant] {
		s.kinds[kindClient] = true // whose technical users hold them
	}
	s.accounts = s.accounts || s.teams
	s.workspaces = slices.Sorted(maps.Keys(within))
	s.referred = slices.Sorted(maps.Keys(referred))
	return s
}

// planner makes a plan.
type planner struct {
	*Plan
	docs        map[Key]*Document
	depth       map[Key]int // of roles below their parents
	newAccounts map[string]bool
	faults      []error
}

func (p *planner) fault(doc *Document, name, format string, args ...any) {
	line := doc.Line
	if at := doc.lines[name]; at != 0 {
		line = at
	}
	p.faults = append(p.faults, &Fault{doc.File, line, fmt.Sprintf(format, args...)})
}

func (p *planner) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// The phases, in which everything can be done at once. Roles have one for each
// depth of inheritance.
const (
	phaseWorkspace = iota * 1000
	phaseAPI
	phaseRole
	phaseAccount
	phaseTeam
	phaseClient
	phaseShared // clients that share the account of another
	phaseGrant
	phaseLate // what names clients
	phaseDelete
)

func (p *planner) phase(doc *Document) int {
	switch doc.Kind {
	case kindWorkspace:
		return phaseWorkspace
	case kindAPI:
		return phaseAPI
	case kindRole:
		return phaseRole + p.depth[doc.Key]
	case kindAccount:
		return phaseAccount
	case kindTeam:
		return phaseTeam
	case kindGrant:
		return phaseGrant
	default:
		return phaseClient
	}
}

// depths tells how far each role of the documents stands below those it
// inherits. Roles in a circle have some depth; the server refuses them.
func depths(p *planner) map[Key]int {
	out := map[Key]int{}
	var depth func(doc *Document, seen int) int
	depth = func(doc *Document, seen int) int {
		if at, known := out[doc.Key]; known || seen > 100 {
			return at
		}
		most := 0
		parents, _ := doc.values["parents"].([]string)
		for _, ref := range parents {
			w, name, _ := strings.Cut(ref, "/")
			if parent := p.docs[Key{kindRole, w, name}]; parent != nil {
				most = max(most, depth(parent, seen+1)+1)
			}
		}
		out[doc.Key] = most
		return most
	}
	for _, doc := range p.docs {
		if doc.Kind == kindRole {
			depth(doc, 0)
		}
	}
	return out
}

// add compares one document with what there is.
func (p *planner) add(doc *Document) {
	old := p.state.records[doc.Key]
	if old != nil && old.builtin {
		p.fault(doc, "", "%s is built in and stays as it is", doc.Key)
		return
	}
	c := &Change{Action: update, Kind: doc.Kind, Workspace: doc.Workspace, Name: doc.Name, phase: p.phase(doc), doc: doc, old: old}
	if old == nil {
		c.Action = create
	}
	late := &Change{Action: update, Kind: doc.Kind, Workspace: doc.Workspace, Name: doc.Name, phase: phaseLate, doc: doc, old: old}
	k := kindNamed(doc.Kind)
	for i := range k.fields {
		f := &k.fields[i]
		now, named := doc.values[f.name]
		if !named {
			continue
		}
		var before any
		if old != nil {
			before = old.values[f.name]
		}
		change := FieldChange{f.name, p.lines(doc, old, f, before), p.lines(doc, old, f, now)}
		switch {
		case slices.Equal(change.Old, change.New):
		case f.only && old != nil:
			p.note("%s: %s never changes: it is %s and the file says %s", doc.Key, f.name, strings.Join(change.Old, ""), strings.Join(change.New, ""))
		case f.name == "status" && !p.statusCanBe(doc, old):
		case f.late:
			late.Fields = append(late.Fields, change)
		default:
			c.Fields = append(c.Fields, change)
		}
	}
	if doc.Kind == kindClient && old == nil {
		p.newClient(c)
	}
	if c.Action == create || len(c.Fields) > 0 {
		p.Changes = append(p.Changes, c)
	}
	if len(late.Fields) > 0 {
		p.Changes = append(p.Changes, late)
	}
	if old != nil && len(c.Fields)+len(late.Fields) == 0 {
		p.Unchanged++
	}
}

// lines spells a value for comparing. An API that folds case has its paths in
// lower case.
func (p *planner) lines(doc *Document, old *Record, f *field, value any) []string {
	list, isPaths := value.([]api.Endpoint)
	folds, named := doc.values["fold_case"].(bool)
	if !named && old != nil {
		folds, _ = old.values["fold_case"].(bool)
	}
	if isPaths && folds {
		list = slices.Clone(list)
		for i := range list {
			list[i].Path = strings.ToLower(list[i].Path)
		}
		value = list
	}
	return lines(f, value)
}

// statusCanBe reports whether something can be brought to the status of its
// document: what lives can be revoked or deactivated and the other way round, and
// what expired stays so.
func (p *planner) statusCanBe(doc *Document, old *Record) bool {
	if old == nil {
		return true
	}
	want, have := doc.text("status"), old.text("status")
	if want == string(store.ClientExpired) {
		return false // it says what was, and asks for nothing
	}
	if have == string(store.ClientExpired) {
		p.note("%s is expired, and the file says %s: an expiry never changes", doc.Key, want)
		return false
	}
	return true
}

// newClient decides which account a new client acts as. The first of several
// with a new account makes it.
func (p *planner) newClient(c *Change) {
	account := c.doc.text("account")
	if account == "" {
		return
	}
	_, exists := p.state.accounts[account]
	if exists || p.newAccounts[account] {
		c.phase = phaseShared
		return
	}
	p.newAccounts[account] = true
}

func (p *Plan) count(action, kind string) int {
	n := 0
	for _, c := range p.Changes {
		if c.Kind == kind && c.Action == action {
			n++
		}
	}
	return n
}

// Secrets counts what will be made with a secret: clients, and people, who get an
// invitation.
func (p *Plan) Secrets() int { return p.count(create, kindClient) + p.count(create, kindAccount) }

// Deletes counts the clients that will be deleted.
func (p *Plan) Deletes() int { return p.count(remove, kindClient) }
