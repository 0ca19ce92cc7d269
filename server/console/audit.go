package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"postern/server/admin"
	"postern/server/audit"
	"postern/store"
)

// auditPage is what was changed and refused in a workspace.
type auditPage struct {
	Form       form
	Query      url.Values // without the cursor
	Filtered   bool
	Operations []string
	Rows       []auditRow
	Next       string
	First      bool          // it is the first page
	Report     *audit.Report // of the chain, where it was asked for
}

// auditRow is an entry with what it changed.
type auditRow struct {
	*store.AuditEntry

	Changes  []audit.Difference
	Unworded bool // the changes cannot be told
}

// Checked is the address that checks the chain, and shows the same entries.
func (p auditPage) Checked() string {
	q := auditFilters(p.Query)
	q.Set("check", "chain")
	return "/console/audit?" + q.Encode()
}

// auditFilters are what the log can be filtered by; anything else in an address
// is passed over.
func auditFilters(q url.Values) url.Values {
	out := url.Values{}
	for _, name := range []string{"operation", "actor", "target", "client", "refused", "from", "to"} {
		if value := q.Get(name); value != "" {
			out.Set(name, value)
		}
	}
	return out
}

// auditQuery is the question that filters ask. A time that cannot be read is a
// fault of the form.
func (v *visit) auditQuery(f *form) (store.AuditQuery, error) {
	q := f.Values
	out := store.AuditQuery{Operation: q.Get("operation"), Target: q.Get("target"), Client: store.ClientID(q.Get("client")), Refused: on(q, "refused")}
	if actor := q.Get("actor"); actor != "" {
		out.Account = store.AccountID(actor)
		// A name is as good as an id, for whoever may know it.
		acc, err := v.console.Admin.Account(v.Request.Context(), v.by, actor)
		if e, known := errors.AsType[*admin.Error](err); err != nil && (!known || e.Kind == admin.Unavailable) {
			return out, err
		} else if err == nil {
			out.Account = acc.ID
		}
	}
	for name, at := range map[string]*store.Time{"from": &out.From, "to": &out.To} {
		if q.Get(name) == "" {
			continue
		}
		t, err := time.Parse("2006-01-02T15:04", q.Get(name))
		if err != nil {
			f.fault(name, "must be a date and a time, such as 2026-01-31T12:00")
			continue
		}
		*at = store.At(t)
	}
	return out, nil
}

const auditLimit = 50

func auditLog(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	ctx, query := v.Request.Context(), v.Request.URL.Query()
	p := auditPage{Query: auditFilters(query), First: query.Get("cursor") == ""}
	p.Form.Values, p.Filtered = p.Query, len(p.Query) > 0
	for _, op := range slices.Concat(admin.Operations(), admin.SCIMOperations()) {
		p.Operations = append(p.Operations, op.Name)
	}
	slices.Sort(p.Operations)
	q, err := v.auditQuery(&p.Form)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if len(p.Form.Faults) > 0 {
		status = http.StatusUnprocessableEntity
	}
	question := struct{ Workspace, Filters string }{v.workspace.Name, p.Query.Encode()}
	if !p.First {
		q.After = &store.AuditCursor{}
		if err := v.console.Admin.OpenCursor(query.Get("cursor"), question, q.After); err != nil {
			return err
		}
	}
	q.Limit = auditLimit + 1
	found, err := v.console.Admin.Audit(ctx, v.by, v.workspace.Name, q)
	if err != nil {
		return err
	}
	if len(found) > auditLimit {
		found = found[:auditLimit]
		last := found[auditLimit-1]
		cursor, err := v.console.Admin.SealCursor(question, store.AuditCursor{At: last.At, ID: last.ID})
		if err != nil {
			return err
		}
		next := auditFilters(p.Query)
		next.Set("cursor", cursor)
		p.Next = "/console/audit?" + next.Encode()
	}
	for _, e := range found {
		row := auditRow{AuditEntry: e}
		if row.Changes, err = audit.Differences(e.Before, e.After); err != nil {
			row.Unworded = true
		}
		p.Rows = append(p.Rows, row)
	}
	if query.Get("check") == "chain" {
		if p.Report, err = v.console.Admin.VerifyAudit(ctx, v.by, v.workspace.Name); err != nil {
			return err
		}
	}
	return v.show("audit", status, page{Title: "Audit log", Section: "audit", Data: p})
}

// auditLine is an entry in an export, as REST and the command line write it.
type auditLine struct {
	ID         string          `json:"id"`
	At         string          `json:"at"`
	Workspace  string          `json:"workspace,omitempty"`
	Account    string          `json:"account,omitempty"`
	Actor      string          `json:"actor,omitempty"`
	Client     string          `json:"client,omitempty"`
	Address    string          `json:"address,omitempty"`
	RequestID  string          `json:"request_id,omitempty"`
	Operation  string          `json:"operation"`
	TargetKind string          `json:"target_kind,omitempty"`
	Target     string          `json:"target,omitempty"`
	TargetName string          `json:"target_name,omitempty"`
	Refused    string          `json:"refused,omitempty"`
	Count      int64           `json:"count,omitempty"`
	Before     json.RawMessage `json:"before,omitempty"`
	After      json.RawMessage `json:"after,omitempty"`
	Place      int64           `json:"place,omitempty"`
}

// exportAudit answers with all entries that the page shows, oldest first, one
// JSON object a line.
func exportAudit(v *visit) error {
	if v.workspace == nil {
		return errNoWorkspace
	}
	f := form{Values: auditFilters(v.Request.URL.Query())}
	q, err := v.auditQuery(&f)
	if err != nil {
		return err
	}
	if len(f.Summary) > 0 {
		return &admin.Error{Kind: admin.Invalid, Message: f.Summary[0]}
	}
	begun := false
	begin := func() {
		begun = true
		v.headers()
		v.Header("Content-Type", "application/x-ndjson")
		v.Header("Content-Disposition", `attachment; filename="audit-`+v.workspace.Name+`.ndjson"`)
	}
	line := json.NewEncoder(v.Writer)
	err = v.console.Admin.ExportAudit(v.Request.Context(), v.by, v.workspace.Name, q, func(e *store.AuditEntry) error {
		if !begun {
			begin()
		}
		return line.Encode(auditLine{
			ID: string(e.ID), At: e.At.String(), Workspace: v.console.Admin.WorkspaceName(e.Workspace), Account: string(e.Account), Actor: e.Actor,
			Client: string(e.Client), Address: e.Address, RequestID: e.RequestID, Operation: e.Operation, TargetKind: string(e.TargetKind),
			Target: e.Target, TargetName: e.TargetName, Refused: e.Refused, Count: e.Count, Before: e.Before, After: e.After, Place: e.Place,
		})
	})
	switch {
	case err != nil && begun:
		v.console.Log.ErrorContext(v.Request.Context(), "an export of the audit was cut off", "error", err)
		panic(http.ErrAbortHandler) // half of it must not look like the whole
	case err != nil:
		return err
	case !begun:
		begin()
	}
	return nil
}
