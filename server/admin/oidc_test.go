package admin_test

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/server/admin"
	"postern/server/secret"
	"postern/store"
)

const provider = "https://idp.example"

// identity is ann as the provider sees her.
func identity(edit ...func(*admin.Identity)) admin.Identity {
	id := admin.Identity{Issuer: provider, Subject: "s-1", Name: "Ann@example.com", DisplayName: "Ann A.", Email: "ann@example.com", EmailVerified: true}
	for _, e := range edit {
		e(&id)
	}
	return id
}

func groups(names ...string) func(*admin.Identity) {
	return func(id *admin.Identity) { id.Groups = names }
}

func (w *world) byProvider(id admin.Identity) (*admin.Actor, error) {
	return w.SignInOIDC(w.t.Context(), id, netip.MustParseAddr("192.0.2.1"), "test")
}

// named is an account as it is stored.
func (w *world) named(name string) *store.Account {
	w.t.Helper()
	acc, err := w.state.AccountByName(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return acc
}

// Nobody gets somebody's account by having their name at the provider, unless an
// administrator or SCIM said that this is what the provider calls the person; and
// once linked, only the subject counts.
func TestProviderLinksWhoIsProvisionedAlone(t *testing.T) {
	w := start(t)
	w.actorNamed("ann")
	if _, err := w.EditAccount(t.Context(), w.root, "ann", admin.AccountEdit{Email: new("ann@example.com")}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.byProvider(identity()); kind(t, err) != admin.Unauthenticated {
		t.Errorf("by the mail address of an account: got %v", err)
	}
	if _, err := w.byProvider(identity(func(id *admin.Identity) { id.Name = "ann" })); kind(t, err) != admin.Unauthenticated {
		t.Errorf("by the name of an account: got %v", err)
	}
	if _, err := w.AdoptAccount(t.Context(), w.root, "ann", "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]admin.Identity{
		"an address that is not verified": identity(func(id *admin.Identity) { id.EmailVerified = false }),
		"another name":                    identity(func(id *admin.Identity) { id.Name = "ann" }),
		"no name":                         identity(func(id *admin.Identity) { id.Name = "" }),
		"no subject":                      identity(func(id *admin.Identity) { id.Subject = "" }),
		"no issuer":                       identity(func(id *admin.Identity) { id.Issuer = "" }),
	} {
		if _, err := w.byProvider(id); kind(t, err) != admin.Unauthenticated || w.named("ann").Subject != "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	by, err := w.byProvider(identity())
	if err != nil || by.Account().Name != "ann" {
		t.Fatalf("adopted by this name: got %v", err)
	}
	if acc := w.named("ann"); acc.Issuer != provider || acc.Subject != "s-1" {
		t.Errorf("it is linked to %q %q", acc.Issuer, acc.Subject)
	}
	if by, err := w.byProvider(identity(func(id *admin.Identity) { id.Name, id.EmailVerified = "renamed", false })); err != nil || by.Account().Name != "ann" {
		t.Errorf("under another name, once linked: got %v", err)
	}
	for name, id := range map[string]admin.Identity{
		"another subject": identity(func(id *admin.Identity) { id.Subject = "s-2" }),
		"another issuer":  identity(func(id *admin.Identity) { id.Issuer = "https://other.example" }),
		"both joined":     identity(func(id *admin.Identity) { id.Issuer, id.Subject = provider+"\x00s", "-1" }),
	} {
		if _, err := w.byProvider(id); kind(t, err) != admin.Unauthenticated {
			t.Errorf("%s with the name of who is linked: got %v", name, err)
		}
	}
	// Adopted once more, it is linked anew.
	if _, err := w.AdoptAccount(t.Context(), w.root, "ann", ""); err != nil {
		t.Fatal(err)
	}
	if by, err := w.byProvider(identity(func(id *admin.Identity) { id.Subject = "s-2" })); err != nil || by.Account().Name != "ann" {
		t.Errorf("after it is adopted again: got %v", err)
	}
	if _, err := w.byProvider(identity()); kind(t, err) != admin.Unauthenticated {
		t.Errorf("the subject of before: got %v", err)
	}
}

// Who came by SCIM under that user name is linked; who is deactivated does not get
// in, and who is deleted is unknown.
func TestProviderSignsInWhoIsProvisioned(t *testing.T) {
	w := start(t)
	made, err := w.CreateSCIMUser(t.Context(), w.root, admin.SCIMUser{UserName: "ann@example.com", Active: true})
	if err != nil {
		t.Fatal(err)
	}
	by, err := w.byProvider(identity())
	if err != nil || by.Account().ID != made.ID {
		t.Fatalf("got %v", err)
	}
	text, err := w.StartSession(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := w.Session(t.Context(), text, by.Address, "test"); err != nil || !s.Fresh || s.NeedsCode {
		t.Errorf("the session is %+v, %v", s, err)
	}
	err = w.Freshen(t.Context(), by, text, secret.Of("any password at all"))
	if kind(t, err) != admin.Invalid || !strings.Contains(err.Error(), "sign in again") {
		t.Errorf("freshen without a password: got %v", err)
	}
	long := time.Now().Add(-time.Hour)
	old, err := w.byProvider(identity(func(id *admin.Identity) { id.ProvedAt = long }))
	if err != nil {
		t.Fatal(err)
	}
	if text, err = w.StartSession(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if s, err := w.Session(t.Context(), text, by.Address, "test"); err != nil || s.Fresh {
		t.Errorf("the provider saw her an hour ago: got %+v, %v; want one that is not fresh", s, err)
	}
	if _, err := w.DeactivateAccount(t.Context(), w.root, made.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := w.byProvider(identity()); kind(t, err) != admin.Unauthenticated {
		t.Errorf("deactivated: got %v", err)
	}
	if _, err := w.Session(t.Context(), text, by.Address, "test"); kind(t, err) != admin.Unauthenticated {
		t.Errorf("the session of who is deactivated: got %v", err)
	}
	if err := w.DeleteAccount(t.Context(), w.root, made.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := w.byProvider(identity()); kind(t, err) != admin.Unauthenticated {
		t.Errorf("deleted: got %v", err)
	}
	if err := w.state.All(t.Context(), func(r store.Record) error { t.Errorf("a link is left: %+v", r); return nil }, store.KindIdentity); err != nil {
		t.Fatal(err)
	}
}

// A person with a second factor does not need it by the provider, and one who was
// invited and adopted is active by it.
func TestProviderStandsForPasswordAndCode(t *testing.T) {
	p := withTelephone(t)
	if _, err := p.AdoptAccount(t.Context(), p.root, "ann", "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	by, err := p.byProvider(identity())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.MyClients(t.Context(), by); err != nil {
		t.Errorf("her tokens: %v", err)
	}
	if _, err := p.InviteAccount(t.Context(), p.root, admin.NewAccount{Name: "bob"}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.AdoptAccount(t.Context(), p.root, "bob", "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.byProvider(identity(func(id *admin.Identity) { id.Subject, id.Name = "s-2", "bob" })); err != nil {
		t.Fatal(err)
	}
	if acc := p.named("bob"); acc.Status != store.AccountActive || acc.InviteHash != nil {
		t.Errorf("who was invited is %+v", acc)
	}
}

// Where the settings say so a stranger gets an account that holds nothing, and
// never one that somebody has.
func TestProviderMakesAccounts(t *testing.T) {
	w := start(t, func(o *admin.Options) { o.CreateAccounts = true })
	by, err := w.byProvider(identity())
	if err != nil {
		t.Fatal(err)
	}
	acc := by.Account()
	if acc.Name != "ann-example-com" || acc.Email != "ann@example.com" || acc.DisplayName != "Ann A." || acc.Status != store.AccountActive ||
		acc.Licence != w.state.RoleByRef(admin.LicenceSteward).ID || len(by.Holder.Grants) != 0 || acc.PasswordHash != "" {
		t.Errorf("it is %+v", acc)
	}
	if again, err := w.byProvider(identity()); err != nil || again.Account().ID != acc.ID {
		t.Errorf("again: got %v", err)
	}
	for name, id := range map[string]admin.Identity{
		"the name of a person":          identity(func(id *admin.Identity) { id.Subject, id.Name = "s-2", "admin" }),
		"the same in another case":      identity(func(id *admin.Identity) { id.Subject, id.Name = "s-2", "ADMIN" }),
		"the name of a technical user":  identity(func(id *admin.Identity) { id.Subject, id.Name = "s-2", "example-client" }),
		"the user name of who is known": identity(func(id *admin.Identity) { id.Subject = "s-2" }),
		"an address nobody verified": identity(func(id *admin.Identity) {
			id.Subject, id.Name, id.Email, id.EmailVerified = "s-2", "x@example.com", "x@example.com", false
		}),
		"several lines": identity(func(id *admin.Identity) { id.Subject, id.Name = "s-2", "a\nb" }),
	} {
		if by, err := w.byProvider(id); kind(t, err) != admin.Unauthenticated {
			t.Errorf("%s: got %v, %v", name, by, err)
		}
	}
	if by, err = w.byProvider(identity(func(id *admin.Identity) { id.Subject, id.Name, id.EmailVerified = "s-3", "carl", false })); err != nil || by.Account().Email != "" {
		t.Errorf("the address of an account that nobody verified: got %v", err)
	}
}

// Several first sign-ins of one person at once make one account.
func TestProviderMakesOneAccountOfAPerson(t *testing.T) {
	w := start(t, func(o *admin.Options) { o.CreateAccounts = true })
	var all sync.WaitGroup
	ids := make([]store.AccountID, 8)
	for i := range ids {
		all.Go(func() {
			by, err := w.byProvider(identity())
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = by.Account().ID
		})
	}
	all.Wait()
	if slices.Sort(ids); ids[0] != ids[len(ids)-1] {
		t.Errorf("they got %v", ids)
	}
}

// Groups give teams and take them away again: those that they gave, and none that
// somebody gave by hand or that has power over Postern itself.
func TestProviderGroupsAreTeams(t *testing.T) {
	w := start(t, func(o *admin.Options) {
		o.CreateAccounts, o.GroupTeams = true, map[string]string{"G-ops": "ops", "hidden": ""}
	})
	ids := map[string]store.TeamID{}
	for _, name := range []string{"ops", "readers", "byhand", "power", "left"} {
		team, err := w.CreateTeam(t.Context(), w.root, admin.TeamInput{Name: name, SCIMMayGrant: new(name == "left")})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = team.ID
	}
	for _, name := range []string{"power", "left"} {
		if _, _, err := w.SetGrant(t.Context(), w.root, "default", name, []admin.Granted{{Role: admin.RoleAdmin}}, 0); err != nil {
			t.Fatal(err)
		}
	}
	in := func(names ...string) func(want ...string) {
		t.Helper()
		by, err := w.byProvider(identity(groups(names...)))
		if err != nil {
			t.Fatal(err)
		}
		return func(want ...string) {
			t.Helper()
			got := w.TeamNames(by.Account().Teams)
			slices.Sort(got)
			if slices.Sort(want); !slices.Equal(got, want) {
				t.Errorf("groups %v: the teams are %v, want %v", names, got, want)
			}
		}
	}
	in("G-ops", "readers", "nothing", "hidden", "power", "left")("ops", "readers", "left")
	if _, err := w.AddMember(t.Context(), w.root, "byhand", "ann-example-com"); err != nil {
		t.Fatal(err)
	}
	in("readers", "byhand")("readers", "byhand")
	in()("byhand")
	in("ops")("byhand", "ops")
	in("G-ops")("byhand", "ops")
	// What was given by hand stays by hand; what is taken away by hand comes back.
	if _, err := w.RemoveMember(t.Context(), w.root, "ops", "ann-example-com"); err != nil {
		t.Fatal(err)
	}
	in("G-ops")("byhand", "ops")
	// A team that gets power later stays as it is until it is left to provisioning.
	if _, _, err := w.SetGrant(t.Context(), w.root, "default", "ops", []admin.Granted{{Role: admin.RoleOwner}}, 0); err != nil {
		t.Fatal(err)
	}
	in()("byhand", "ops")
	team := w.state.Team(ids["ops"])
	if _, err := w.EditTeam(t.Context(), w.root, "ops", admin.TeamInput{SCIMMayGrant: new(true)}, team.Revision); err != nil {
		t.Fatal(err)
	}
	// Whoever would be the last owner stays one.
	if _, _, err := w.SetGrant(t.Context(), w.root, "default", "admin", nil, 0); err != nil {
		t.Fatal(err)
	}
	in()("byhand", "ops")
	if _, _, err := w.SetGrant(t.Context(), w.root, "default", "admin", []admin.Granted{{Role: admin.RoleOwner}}, 0); err != nil {
		t.Fatal(err)
	}
	in()("byhand")
}
