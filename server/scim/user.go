package scim

import (
	"context"
	"fmt"
	"net/http"

	"postern/server/admin"
	"postern/store"
)

// userVersion is the ETag of a person.
func userVersion(acc *store.Account) string { return fmt.Sprintf(`W/"%d"`, acc.Revision) }

// wireUser is a person as SCIM shows one.
func (h *Handler) wireUser(acc *store.Account) resource {
	r := resource{
		"schemas":  []any{schemaUser},
		"id":       string(acc.ID),
		"userName": acc.UserName,
		"active":   acc.Status != store.AccountDeactivated,
		"meta":     h.meta(h.users, string(acc.ID), acc.CreatedAt, acc.ModifiedAt, userVersion(acc)),
	}
	r.put("externalId", acc.ExternalID)
	r.put("displayName", acc.DisplayName)
	name := resource{}
	name.put("formatted", acc.FormattedName)
	name.put("givenName", acc.GivenName)
	name.put("familyName", acc.FamilyName)
	r.put("name", name)
	if acc.Email != "" {
		r["emails"] = []any{resource{"value": acc.Email, "type": "work", "primary": !acc.EmailNotPrimary}}
	}
	var in []any
	for _, id := range acc.Teams {
		if t := h.State.Team(id); t != nil && t.Provisioned {
			in = append(in, resource{"value": string(id), "$ref": h.location(h.groups, string(id)), "display": t.DisplayName, "type": "direct"})
		}
	}
	r.put("groups", in)
	return r
}

// userInput is what a resource says of a person. One that does not say whether
// it is active is as before.
func userInput(r resource, active bool) admin.SCIMUser {
	in := admin.SCIMUser{
		UserName: r.text("userName"), ExternalID: r.text("externalId"), DisplayName: r.text("displayName"),
		FormattedName: r.text("name", "formatted"), GivenName: r.text("name", "givenName"), FamilyName: r.text("name", "familyName"),
		Active: active,
	}
	if b, ok := r["active"].(bool); ok {
		in.Active = b
	}
	if mail := address(r.list("emails")); mail != nil {
		in.Email = mail.text("value")
		primary, said := mail["primary"].(bool)
		in.EmailNotPrimary = said && !primary
	}
	return in
}

// address chooses the mail address that is kept: the primary one, else one of
// type work, else the first.
func address(all []any) resource {
	var best resource
	rank := 0
	for _, v := range all {
		r, _ := v.(resource)
		n := 1
		switch {
		case r.text("value") == "":
			continue
		case r["primary"] == true:
			n = 3
		case r.text("type") == "work":
			n = 2
		}
		if n > rank {
			best, rank = r, n
		}
	}
	return best
}

// shownUser is an answer with a person.
func (h *Handler) shownUser(r request, status int, acc *store.Account) (answer, error) {
	s, err := r.selection()
	out := answer{status: status, etag: userVersion(acc), body: s.apply(h.users, h.wireUser(acc))}
	if status == http.StatusCreated {
		out.location = h.location(h.users, string(acc.ID))
	}
	return out, err
}

func (h *Handler) createUser(r request) (answer, error) {
	if _, err := r.selection(); err != nil {
		return answer{}, err
	}
	body, err := r.body()
	if err != nil {
		return answer{}, err
	}
	in, err := h.users.read(body)
	if err != nil {
		return answer{}, err
	}
	acc, err := h.Admin.CreateSCIMUser(r.Context(), r.by, userInput(in, true))
	if err != nil {
		return answer{}, err
	}
	return h.shownUser(r, http.StatusCreated, acc)
}

func (h *Handler) getUser(r request) (answer, error) {
	acc, err := h.Admin.SCIMUser(r.Context(), r.by, store.AccountID(r.id))
	if err != nil {
		return answer{}, err
	}
	if r.unmodified(userVersion(acc)) {
		return answer{status: http.StatusNotModified, etag: userVersion(acc)}, nil
	}
	return h.shownUser(r, http.StatusOK, acc)
}

func (h *Handler) replaceUser(r request) (answer, error) {
	next, err := r.replacement(h.users)
	if err != nil {
		return answer{}, err
	}
	return h.changeUser(r, h.Admin.ReplaceSCIMUser, next)
}

func (h *Handler) patchUser(r request) (answer, error) {
	next, err := r.patching(h.users)
	if err != nil {
		return answer{}, err
	}
	return h.changeUser(r, h.Admin.EditSCIMUser, next)
}

type userChange func(ctx context.Context, by *admin.Actor, id store.AccountID, in admin.SCIMUser, revision int64) (*store.Account, error)

// changeUser makes a person what next makes of it.
func (h *Handler) changeUser(r request, change userChange, next step) (answer, error) {
	if _, err := r.selection(); err != nil {
		return answer{}, err
	}
	return r.change(r.Context(), func() (answer, error) {
		old, err := h.Admin.SCIMUser(r.Context(), r.by, store.AccountID(r.id))
		if err == nil {
			err = r.guarded(userVersion(old))
		}
		if err != nil {
			return answer{}, err
		}
		to, err := next(h.wireUser(old))
		if err != nil {
			return answer{}, err
		}
		acc, err := change(r.Context(), r.by, old.ID, userInput(to, old.Status != store.AccountDeactivated), old.Revision)
		if err != nil {
			return answer{}, err
		}
		return h.shownUser(r, http.StatusOK, acc)
	})
}

func (h *Handler) deleteUser(r request) (answer, error) {
	return r.change(r.Context(), func() (answer, error) {
		old, err := h.Admin.SCIMUser(r.Context(), r.by, store.AccountID(r.id))
		if err == nil {
			err = r.guarded(userVersion(old))
		}
		if err == nil {
			err = h.Admin.DeleteSCIMUser(r.Context(), r.by, old.ID, old.Revision)
		}
		return answer{status: http.StatusNoContent}, err
	})
}
