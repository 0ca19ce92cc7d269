package cached

import "postern/store"

// Installation returns the organisation that the store belongs to, or nil if
// there is none yet. Like all that follows it reads nothing but memory, and
// knows of nothing before Ready.
func (s *Store) Installation() *store.Installation { return s.whole.Load().installation.Load() }

// Workspace returns the workspace with this id, or nil.
func (s *Store) Workspace(id store.WorkspaceID) *store.Workspace {
	w, _ := s.whole.Load().workspaces.get(string(id))
	return w
}

// WorkspaceByName returns the workspace with this name, or nil.
func (s *Store) WorkspaceByName(name string) *store.Workspace {
	w, _ := s.whole.Load().workspaces.named(0, name)
	return w
}

// Workspaces returns all workspaces by id.
func (s *Store) Workspaces() []*store.Workspace { return s.whole.Load().workspaces.all() }

// API returns the API with this id, or nil.
func (s *Store) API(id store.APIID) *store.API {
	a, _ := s.whole.Load().apis.get(string(id))
	return a
}

// APIByName returns the API with this name, or nil.
func (s *Store) APIByName(name string) *store.API {
	a, _ := s.whole.Load().apis.named(0, name)
	return a
}

// APIByAudience returns the API with this audience, or nil.
func (s *Store) APIByAudience(audience string) *store.API {
	a, _ := s.whole.Load().apis.named(1, audience)
	return a
}

// APIs returns all APIs by id.
func (s *Store) APIs() []*store.API { return s.whole.Load().apis.all() }

// Role returns the role with this id, or nil.
func (s *Store) Role(id store.RoleID) *store.Role {
	r, _ := s.whole.Load().roles.get(string(id))
	return r
}

// RoleByRef returns the role with this reference ("acme/reader"), or nil.
func (s *Store) RoleByRef(ref string) *store.Role {
	r, _ := s.whole.Load().roles.named(0, ref)
	return r
}

// Roles returns all roles by id.
func (s *Store) Roles() []*store.Role { return s.whole.Load().roles.all() }

// Team returns the team with this id, or nil.
func (s *Store) Team(id store.TeamID) *store.Team {
	t, _ := s.whole.Load().teams.get(string(id))
	return t
}

// TeamByName returns the team with this name, or nil.
func (s *Store) TeamByName(name string) *store.Team {
	t, _ := s.whole.Load().teams.named(0, name)
	return t
}

// Teams returns all teams by id.
func (s *Store) Teams() []*store.Team { return s.whole.Load().teams.all() }

// Webhook returns the webhook with this id, or nil.
func (s *Store) Webhook(id store.WebhookID) *store.Webhook {
	w, _ := s.whole.Load().webhooks.get(string(id))
	return w
}

// Webhooks returns all webhooks by id.
func (s *Store) Webhooks() []*store.Webhook { return s.whole.Load().webhooks.all() }

// Keys returns all keys by id.
func (s *Store) Keys() []*store.Key { return s.whole.Load().keys.all() }

// Revoked reports whether the access token with this jti was revoked on its
// own.
func (s *Store) Revoked(jti string) bool {
	_, revoked := s.whole.Load().revocations.get(jti)
	return revoked
}

// RevokedOf counts the revoked access tokens of a client that would not have
// expired yet.
func (s *Store) RevokedOf(client store.ClientID) int {
	return s.whole.Load().revokedOf(client, store.At(s.clock.now()))
}
