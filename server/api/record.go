package api

import (
	"context"
	"encoding/json"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"postern/server/admin"
	"postern/server/audit"
	"postern/store"
)

// Usage is who called what, when.
type Usage struct {
	Counters []Counter `json:"counters"`
	LastUses []LastUse `json:"last_uses"`
}

// Counter is what one secret of a client did in one hour.
type Counter struct {
	Hour    Time   `json:"hour" doc:"Its start."`
	Client  string `json:"client"`
	Secret  string `json:"secret,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Outcome string `json:"outcome" enum:"issued,introspected,allowed,denied"`
	Count   int64  `json:"count"`
}

// LastUse is when a secret was last used, and last refused.
type LastUse struct {
	Client          string `json:"client"`
	Secret          string `json:"secret,omitempty"`
	SuccessAt       Time   `json:"success_at"`
	SuccessAddress  string `json:"success_address,omitempty"`
	SuccessEndpoint string `json:"success_endpoint,omitempty"`
	RefusalAt       Time   `json:"refusal_at"`
	RefusalAddress  string `json:"refusal_address,omitempty"`
	RefusalEndpoint string `json:"refusal_endpoint,omitempty"`
}

// AuditEntry is one change, or one refusal of a change.
type AuditEntry struct {
	ID         string          `json:"id"`
	At         Time            `json:"at"`
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
	Count      int64           `json:"count,omitempty" doc:"Of equal refusals in one minute."`
	Before     json.RawMessage `json:"before,omitempty"`
	After      json.RawMessage `json:"after,omitempty"`
	Place      int64           `json:"place,omitempty" doc:"In the workspace's chain; absent until it is sealed."`
}

// AuditReport is what a look through an audit chain found.
type AuditReport struct {
	Whole    bool            `json:"whole"`
	Entries  int64           `json:"entries"`
	Problems []audit.Problem `json:"problems"`
}

type usageInput struct {
	Client string `query:"client" maxLength:"128"`
	From   moment `query:"from" doc:"RFC 3339; hours from then on."`
	To     moment `query:"to" doc:"RFC 3339; hours before then."`
}

// AuditFilter says which audit entries are asked for.
type AuditFilter struct {
	Workspace string `query:"workspace" doc:"Id or name; * is what belongs to none."`
	Account   string `query:"account" doc:"Who acted, by id."`
	Client    string `query:"client" doc:"By which credential."`
	Target    string `query:"target" doc:"The id of what was changed."`
	Operation string `query:"operation" doc:"Such as client.revoke."`
	Refused   bool   `query:"refused" doc:"Only what was refused."`
	From      moment `query:"from" doc:"RFC 3339; from then on."`
	To        moment `query:"to" doc:"RFC 3339; before then."`
}

func (f *AuditFilter) query() (store.AuditQuery, error) {
	from, to, err := span(f.From, f.To)
	return store.AuditQuery{
		Account: store.AccountID(f.Account), Client: store.ClientID(f.Client), Target: f.Target, Operation: f.Operation, Refused: f.Refused, From: from, To: to,
	}, err
}

type auditInput struct {
	Page
	AuditFilter
}

func (m *mounted) records() {
	register(m, "usage.read", m.usage)
	register(m, "audit.list", m.listAudit)
	register(m, "audit.get", func(ctx context.Context, by *admin.Actor, in *struct {
		Entry string `path:"entry" maxLength:"64" doc:"Its id."`
	},
	) (*struct{ Body AuditEntry }, error) {
		e, err := m.Admin.AuditEntry(ctx, by, store.AuditID(in.Entry))
		if err != nil {
			return nil, err
		}
		return &struct{ Body AuditEntry }{m.wireEntry(e)}, nil
	})
	register(m, "audit.export", func(_ context.Context, by *admin.Actor, in *AuditFilter) (*huma.StreamResponse, error) {
		q, err := in.query()
		if err != nil {
			return nil, err
		}
		return m.lines("audit.export", "postern-audit.ndjson", func(ctx context.Context, w io.Writer) error { //nolint:contextcheck // the stream hands over the request's
			line := json.NewEncoder(w)
			return m.Admin.ExportAudit(ctx, by, in.Workspace, q, func(e *store.AuditEntry) error { return line.Encode(m.wireEntry(e)) })
		}), nil
	}, streamed)
	register(m, "audit.verify", func(ctx context.Context, by *admin.Actor, in *struct {
		Workspace string `query:"workspace" required:"true" doc:"Id or name; * is what belongs to none."`
	},
	) (*struct{ Body AuditReport }, error) {
		report, err := m.Admin.VerifyAudit(ctx, by, in.Workspace)
		if err != nil {
			return nil, err
		}
		return &struct{ Body AuditReport }{AuditReport{len(report.Problems) == 0, report.Entries, orEmpty(report.Problems)}}, nil
	})
}

// span is the times of a query.
func span(from, to moment) (store.Time, store.Time, error) {
	after, err := from.time("from")
	if err != nil {
		return 0, 0, err
	}
	before, err := to.time("to")
	return after, before, err
}

func (m *mounted) usage(ctx context.Context, by *admin.Actor, in *usageInput) (*struct{ Body Usage }, error) {
	from, to, err := span(in.From, in.To)
	if err != nil {
		return nil, err
	}
	report, err := m.Admin.Usage(ctx, by, store.ClientID(in.Client), from, to)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body Usage }{Usage{make([]Counter, len(report.Counters)), wireLastUses(report.LastUses)}}
	for i, c := range report.Counters {
		out.Body.Counters[i] = Counter{Time(c.Hour), string(c.Client), string(c.Secret), c.Rule, string(c.Outcome), c.Count}
	}
	return out, nil
}

func (m *mounted) listAudit(ctx context.Context, by *admin.Actor, in *auditInput) (*listAnswer[AuditEntry], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	q.Limit = in.Limit + 1
	question := in.AuditFilter
	if in.Cursor != "" {
		q.After = &store.AuditCursor{}
		if err := m.Admin.OpenCursor(in.Cursor, question, q.After); err != nil {
			return nil, err
		}
	}
	found, err := m.Admin.Audit(ctx, by, in.Workspace, q)
	if err != nil {
		return nil, err
	}
	position := func(e *store.AuditEntry) any { return store.AuditCursor{At: e.At, ID: e.ID} }
	return pageFrom(m.API, in.Page, question, found, position, m.wireEntry)
}

func (m *mounted) wireEntry(e *store.AuditEntry) AuditEntry {
	return AuditEntry{
		ID: string(e.ID), At: Time(e.At), Workspace: m.Admin.WorkspaceName(e.Workspace), Account: string(e.Account), Actor: e.Actor,
		Client: string(e.Client), Address: e.Address, RequestID: e.RequestID, Operation: e.Operation, TargetKind: string(e.TargetKind),
		Target: e.Target, TargetName: e.TargetName, Refused: e.Refused, Count: e.Count, Before: e.Before, After: e.After, Place: e.Place,
	}
}
