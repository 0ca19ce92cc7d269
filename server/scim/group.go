package scim

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"

	"postern/server/admin"
	"postern/store"
)

// groupVersion is the ETag of a team with its members, of whom the record of the
// team says nothing.
func groupVersion(t *store.Team, members []*store.Account) string {
	sum := fnv.New64a()
	for _, m := range members {
		_, _ = sum.Write([]byte(m.ID)) // never fails
	}
	return fmt.Sprintf(`W/"%d-%x"`, t.Revision, sum.Sum64())
}

// wireGroup is a team as SCIM shows one. Without its members its version is not
// known.
func (h *Handler) wireGroup(t *store.Team, members []*store.Account, known bool) resource {
	version := ""
	if known {
		version = groupVersion(t, members)
	}
	r := resource{
		"schemas":     []any{schemaGroup},
		"id":          string(t.ID),
		"displayName": t.DisplayName,
		"meta":        h.meta(h.groups, string(t.ID), t.CreatedAt, t.ModifiedAt, version),
	}
	r.put("externalId", t.ExternalID)
	list := make([]any, len(members))
	for i, m := range members {
		list[i] = resource{"value": string(m.ID), "$ref": h.location(h.users, string(m.ID)), "type": h.users.name}
	}
	r.put("members", list)
	return r
}

// groupInput is what a resource says of a team.
func groupInput(r resource) admin.SCIMGroup {
	in := admin.SCIMGroup{DisplayName: r.text("displayName"), ExternalID: r.text("externalId")}
	for _, v := range r.list("members") {
		if m, _ := v.(resource); m.text("value") != "" {
			in.Members = append(in.Members, store.AccountID(m.text("value")))
		}
	}
	return in
}

// shownGroup is an answer with a team.
func (h *Handler) shownGroup(r request, status int, t *store.Team) (answer, error) {
	s, err := r.selection()
	if err != nil {
		return answer{}, err
	}
	out := answer{status: status}
	if status == http.StatusCreated {
		out.location = h.location(h.groups, string(t.ID))
	}
	if !s.wants(h.groups, lookup(h.groups.attributes, "members")) && status == http.StatusOK && r.Method == http.MethodGet {
		// Systems ask so to be spared the members of large groups.
		out.body = s.apply(h.groups, h.wireGroup(t, nil, false))
		return out, nil
	}
	members, err := h.Admin.SCIMMembers(r.Context(), r.by, t.ID)
	if err != nil {
		return answer{}, err
	}
	out.etag = groupVersion(t, members)
	if r.Method == http.MethodGet && r.unmodified(out.etag) {
		return answer{status: http.StatusNotModified, etag: out.etag}, nil
	}
	out.body = s.apply(h.groups, h.wireGroup(t, members, true))
	return out, nil
}

func (h *Handler) createGroup(r request) (answer, error) {
	if _, err := r.selection(); err != nil {
		return answer{}, err
	}
	body, err := r.body()
	if err != nil {
		return answer{}, err
	}
	in, err := h.groups.read(body)
	if err != nil {
		return answer{}, err
	}
	return r.change(r.Context(), func() (answer, error) { // who is a member may change meanwhile
		t, err := h.Admin.CreateSCIMGroup(r.Context(), r.by, groupInput(in))
		if err != nil {
			return answer{}, err
		}
		return h.shownGroup(r, http.StatusCreated, t)
	})
}

func (h *Handler) getGroup(r request) (answer, error) {
	t, err := h.Admin.SCIMGroup(r.Context(), r.by, store.TeamID(r.id))
	if err != nil {
		return answer{}, err
	}
	return h.shownGroup(r, http.StatusOK, t)
}

func (h *Handler) replaceGroup(r request) (answer, error) {
	next, err := r.replacement(h.groups)
	if err != nil {
		return answer{}, err
	}
	return h.changeGroup(r, h.Admin.ReplaceSCIMGroup, next)
}

func (h *Handler) patchGroup(r request) (answer, error) {
	next, err := r.patching(h.groups)
	if err != nil {
		return answer{}, err
	}
	return h.changeGroup(r, h.Admin.EditSCIMGroup, next)
}

type groupChange func(ctx context.Context, by *admin.Actor, id store.TeamID, in admin.SCIMGroup, revision int64) (*store.Team, error)

// changeGroup makes a team what next makes of it.
func (h *Handler) changeGroup(r request, change groupChange, next step) (answer, error) {
	if _, err := r.selection(); err != nil {
		return answer{}, err
	}
	return r.change(r.Context(), func() (answer, error) {
		old, members, err := h.currentGroup(r)
		if err != nil {
			return answer{}, err
		}
		to, err := next(h.wireGroup(old, members, true))
		if err != nil {
			return answer{}, err
		}
		t, err := change(r.Context(), r.by, old.ID, groupInput(to), old.Revision)
		if err != nil {
			return answer{}, err
		}
		return h.shownGroup(r, http.StatusOK, t)
	})
}

// currentGroup is the team of a path with its members, if they are as the sender
// read them.
func (h *Handler) currentGroup(r request) (*store.Team, []*store.Account, error) {
	t, err := h.Admin.SCIMGroup(r.Context(), r.by, store.TeamID(r.id))
	if err != nil {
		return nil, nil, err
	}
	members, err := h.Admin.SCIMMembers(r.Context(), r.by, t.ID)
	if err != nil {
		return nil, nil, err
	}
	return t, members, r.guarded(groupVersion(t, members))
}

func (h *Handler) deleteGroup(r request) (answer, error) {
	return r.change(r.Context(), func() (answer, error) {
		t, _, err := h.currentGroup(r)
		if err == nil {
			err = h.Admin.DeleteSCIMGroup(r.Context(), r.by, t.ID, t.Revision)
		}
		return answer{status: http.StatusNoContent}, err
	})
}
