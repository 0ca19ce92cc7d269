package admin

import (
	"context"
	"errors"
	"slices"

	"postern/server/audit"
	"postern/store"
)

// NoWorkspace names, in the place of a workspace, the audit of what belongs to
// none: personal tokens that are good in all of their owner's.
const NoWorkspace = "*"

// Audit returns a page of the audit entries of the workspaces that the actor may
// read, newest first unless q asks otherwise.
func (a *Admin) Audit(ctx context.Context, by *Actor, workspace string, q store.AuditQuery) ([]*store.AuditEntry, error) {
	var err error
	if q.Workspaces, err = a.auditOf(by, opAuditList, workspace); err != nil {
		return nil, err
	}
	a.flushRefusals(ctx)
	out, err := a.Store.Audit(ctx, q)
	return out, fromStore(opAuditList.Name, err)
}

// AuditEntry returns an entry that the actor may read.
func (a *Admin) AuditEntry(ctx context.Context, by *Actor, id store.AuditID) (*store.AuditEntry, error) {
	none := refuse(NotFound, "there is no audit entry %q that you may read", printable(string(id)))
	found, err := a.Store.Get(ctx, store.KindAudit, string(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, none
	}
	if err != nil {
		return nil, fromStore(opAuditGet.Name, err)
	}
	e, ok := found.(*store.AuditEntry)
	in := a.systemID()
	if ok && e.Workspace != "" {
		in = e.Workspace
	}
	if !ok || !a.may(by, opAuditGet, in, string(id)) {
		return nil, none
	}
	return e, nil
}

// exportPage is how many entries an export holds in memory.
const exportPage = 500

// ExportAudit calls yield with every entry that the actor may read and q asks
// for, until now, oldest first. It stops at the first error of yield and
// returns it.
func (a *Admin) ExportAudit(ctx context.Context, by *Actor, workspace string, q store.AuditQuery, yield func(*store.AuditEntry) error) error {
	var err error
	if q.Workspaces, err = a.auditOf(by, opAuditExport, workspace); err != nil {
		return err
	}
	a.flushRefusals(ctx)
	q.Oldest, q.Limit, q.After = true, exportPage, nil
	if now := a.now() + 1; q.To == 0 || q.To > now {
		q.To = now // else what is done meanwhile would keep it going
	}
	for {
		page, err := a.Store.Audit(ctx, q)
		if err != nil {
			return fromStore(opAuditExport.Name, err)
		}
		for _, e := range page {
			if err := yield(e); err != nil {
				return err
			}
		}
		if len(page) < exportPage {
			return nil
		}
		last := page[len(page)-1]
		q.After = &store.AuditCursor{At: last.At, ID: last.ID}
	}
}

// VerifyAudit checks the chain of a workspace, or of NoWorkspace.
func (a *Admin) VerifyAudit(ctx context.Context, by *Actor, workspace string) (*audit.Report, error) {
	of, err := a.auditOf(by, opAuditVerify, workspace)
	if err != nil {
		return nil, err
	}
	if len(of) != 1 {
		return nil, refuse(Invalid, "name the workspace whose audit to check")
	}
	report, err := a.Sealer.Verify(ctx, of[0])
	return &report, fromStore(opAuditVerify.Name, err)
}

// auditOf returns the workspaces whose audit an operation of the actor is about:
// the one that is named, else all that it may read. None is every one.
func (a *Admin) auditOf(by *Actor, op Operation, workspace string) ([]store.WorkspaceID, error) {
	ids, all := a.readable(by, op)
	w := a.workspace(workspace)
	switch {
	case workspace == NoWorkspace && all:
		return []store.WorkspaceID{""}, nil
	case workspace == "" && !all && len(ids) == 0:
		return nil, refuse(Forbidden, "you may not read the audit; ask an owner or auditor of your workspace")
	case workspace == "":
		return ids, nil
	case w == nil || !all && !slices.Contains(ids, w.ID):
		return nil, refuse(NotFound, "there is no workspace %q whose audit you may read", printable(workspace))
	}
	return []store.WorkspaceID{w.ID}, nil
}

// flushRefusals brings what this node refused into the store, so that an answer
// includes it.
func (a *Admin) flushRefusals(ctx context.Context) {
	if a.Refusals == nil {
		return
	}
	if err := a.Refusals.Flush(ctx); err != nil {
		a.Log.WarnContext(ctx, "refusals of this node are not in the answer yet", "error", err)
	}
}
