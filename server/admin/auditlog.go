package admin

import (
	"context"
	"slices"

	"postern/server/audit"
	"postern/store"
)

// Audit returns a page of the audit entries of the workspaces that the actor may
// read, newest first.
func (a *Admin) Audit(ctx context.Context, by *Actor, workspace string, q store.AuditQuery) ([]*store.AuditEntry, error) {
	ids, all := a.readable(by, opAuditList)
	if !all && len(ids) == 0 {
		return nil, refuse(Forbidden, "you may not read the audit; ask an owner or auditor of your workspace")
	}
	q.Workspaces = ids
	if a.Refusals != nil {
		if err := a.Refusals.Flush(ctx); err != nil {
			a.Log.WarnContext(ctx, "refusals of this node are not in the answer yet", "error", err)
		}
	}
	if workspace != "" {
		w := a.workspace(workspace)
		if w == nil || !all && !slices.Contains(ids, w.ID) {
			return nil, refuse(NotFound, "there is no workspace %q whose audit you may read", printable(workspace))
		}
		q.Workspaces = []store.WorkspaceID{w.ID}
	}
	out, err := a.Store.Audit(ctx, q)
	return out, fromStore(opAuditList.Name, err)
}

// VerifyAudit checks the chain of a workspace.
func (a *Admin) VerifyAudit(ctx context.Context, by *Actor, workspace string) (*audit.Report, error) {
	w := a.workspace(workspace)
	if w == nil || !a.may(by, opAuditVerify, w.ID) {
		return nil, refuse(NotFound, "there is no workspace %q whose audit you may read", printable(workspace))
	}
	report, err := a.Sealer.Verify(ctx, w.ID)
	return &report, fromStore(opAuditVerify.Name, err)
}
