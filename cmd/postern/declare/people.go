package declare

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"postern/server/api"
	"postern/store"
)

// invite makes a person, who sets a password by the invitation.
func (a *applier) invite(ctx context.Context, c *Change) error {
	body := a.body(c)
	body["name"] = c.Name
	delete(body, "status")
	licence, named := c.doc.values["licence"]
	if named && licence == nil {
		delete(body, "licence") // it would be the first one; none is an edit
	}
	made, err := ask[api.Invitation](ctx, a.server, making(pathOf(kindAccount, ""), body))
	if err != nil {
		return err
	}
	if err := a.keep(Secret{Account: c.Name, Invitation: made.Token, ExpiresAt: made.ExpiresAt}); err != nil {
		return fmt.Errorf("the person is made, but the invitation is not kept; invite again: %w", err)
	}
	if named && licence == nil {
		if err := a.patch(ctx, kindAccount, &Record{id: c.Name}, map[string]any{"licence": nil}); err != nil {
			return fmt.Errorf("the person is made, but: %w", err)
		}
	}
	if status := c.doc.text("status"); status != "" && status != string(store.AccountActive) {
		return a.status(ctx, kindAccount, c.Name, status)
	}
	return nil
}

func (a *applier) updateAccount(ctx context.Context, c *Change) error {
	body := a.body(c)
	status, hasStatus := body["status"].(string)
	delete(body, "status")
	if err := a.patch(ctx, kindAccount, c.old, body); err != nil || !hasStatus {
		return err
	}
	return a.status(ctx, kindAccount, c.old.id, status)
}

// people are named once they are there.
func (a *applier) people(ctx context.Context, c *Change) error {
	w, err := ask[api.Workspace](ctx, a.server, Request{Method: http.MethodGet, Path: pathOf(kindWorkspace, under(c.Name))})
	if err != nil {
		return err
	}
	old := &Record{id: w.ID, etag: etag(w.Revision)} // it moved if this run changed other fields
	return a.patch(ctx, kindWorkspace, old, map[string]any{"personal_people": c.doc.values["personal_people"]})
}

// members makes accounts members of a team and takes others out of it.
func (a *applier) members(ctx context.Context, c *Change) error {
	for _, f := range c.Fields {
		for _, name := range f.New {
			if slices.Contains(f.Old, name) {
				continue
			}
			if err := a.member(ctx, http.MethodPut, c.Name, name); err != nil {
				return err
			}
		}
		for _, name := range f.Old {
			if slices.Contains(f.New, name) {
				continue
			}
			if err := a.member(ctx, http.MethodDelete, c.Name, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// triesOfMember bounds how often it is tried again when the account was changed
// at the same moment, as by another team of this run.
const triesOfMember = 5

func (a *applier) member(ctx context.Context, method, team, account string) error {
	r := Request{Method: method, Path: pathOf(kindTeam, under(team)) + "/members" + under(account)}
	_, err := a.server(ctx, r)
	for range triesOfMember {
		if !refused(err, http.StatusPreconditionFailed) {
			break
		}
		_, err = a.server(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", account, err)
	}
	return nil
}
