package importing

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// realm is the part of a realm's export that matters here.
type realm struct {
	Realm   string           `json:"realm"`
	Clients []keycloakClient `json:"clients"`
	Users   []struct {
		ClientID    string              `json:"serviceAccountClientId"`
		RealmRoles  []string            `json:"realmRoles"`
		ClientRoles map[string][]string `json:"clientRoles"`
	} `json:"users"`
}

type keycloakClient struct {
	ClientID        string            `json:"clientId"`
	Name            string            `json:"name"`
	Description     string            `json:"description"`
	Enabled         *bool             `json:"enabled"`
	Protocol        string            `json:"protocol"`
	Authenticator   string            `json:"clientAuthenticatorType"`
	Secret          string            `json:"secret"`
	BearerOnly      bool              `json:"bearerOnly"`
	PublicClient    bool              `json:"publicClient"`
	ServiceAccounts bool              `json:"serviceAccountsEnabled"`
	StandardFlow    bool              `json:"standardFlowEnabled"`
	ImplicitFlow    bool              `json:"implicitFlowEnabled"`
	DirectAccess    bool              `json:"directAccessGrantsEnabled"`
	Attributes      map[string]string `json:"attributes"`
}

// Keycloak reads an export of a realm, whole or in part, or of several, of which
// name picks one; or a list of clients, or one of them. rename maps roles of a
// client's service account, "role" of the realm or "client/role", to roles here;
// those that it does not name are not given.
func Keycloak(text []byte, name string, rename map[string]string) (*List, error) {
	r, err := readRealm(text, name)
	if err != nil {
		return nil, err
	}
	roles := map[string][]string{}
	for _, u := range r.Users {
		held := u.RealmRoles
		for client, names := range u.ClientRoles {
			for _, role := range names {
				held = append(held, client+"/"+role)
			}
		}
		roles[u.ClientID] = held
	}
	l := &List{}
	var lost, people, rotated []string
	for i := range r.Clients {
		c := &r.Clients[i]
		if reason := c.unfit(); reason != "" {
			l.leave(c.ClientID, reason)
			continue
		}
		out := Client{ID: c.ClientID, Name: c.Name, Description: c.Description}
		if strings.HasPrefix(out.Name, "${") { // a text to be translated
			out.Name = ""
		}
		out.setSecret(c.Secret)
		for _, role := range roles[c.ClientID] {
			if here, ok := rename[role]; ok {
				out.Roles = append(out.Roles, here)
			} else if !strings.HasPrefix(role, "default-roles-") && role != "offline_access" && role != "uma_authorization" {
				lost = append(lost, role)
			}
		}
		if c.StandardFlow || c.ImplicitFlow || c.DirectAccess {
			people = append(people, c.ClientID)
		}
		if c.Attributes["client.secret.rotated"] != "" {
			rotated = append(rotated, c.ClientID)
		}
		l.Clients = append(l.Clients, out)
	}
	if len(lost) > 0 {
		l.warn("these roles of service accounts are not given; name them with --map OLD=NEW: %s", sorted(lost))
	}
	if len(people) > 0 {
		l.warn("these clients also sign people in, which does not come along: %s", sorted(people))
	}
	if len(rotated) > 0 {
		l.warn("these clients have an older secret beside the present one, which stays behind: %s", sorted(rotated))
	}
	return l, nil
}

// unfit is why a client cannot come along; empty if it can.
func (c *keycloakClient) unfit() string {
	switch {
	case c.ClientID == "":
		return "it has no clientId"
	case c.Enabled != nil && !*c.Enabled:
		return "it is disabled"
	case c.Protocol != "" && c.Protocol != "openid-connect":
		return "it speaks SAML or another protocol, not OAuth"
	case c.BearerOnly:
		return "it is bearer-only, an API: see postern api create"
	case c.PublicClient:
		return "it is public: it has no secret"
	case !c.ServiceAccounts:
		return "it gets no tokens in its own name (no service account)"
	case c.Authenticator != "" && c.Authenticator != "client-secret":
		return "it authenticates by a key or certificate, not by a secret"
	case c.Secret == "":
		return "there is no secret in the file"
	case strings.Trim(c.Secret, "*") == "":
		return "its secret is masked: export the realm with kc.sh export"
	case strings.HasPrefix(c.Secret, "${vault."):
		return "its secret is in a vault"
	}
	return ""
}

func readRealm(text []byte, name string) (*realm, error) {
	if !isList(text) {
		var r realm
		if err := decode(text, &r); err != nil {
			return nil, err
		}
		if r.Clients == nil {
			var one keycloakClient
			if err := decode(text, &one); err != nil {
				return nil, err
			}
			if one.ClientID == "" {
				return nil, errors.New("it is no export of a realm with clients, and no client")
			}
			r.Clients = []keycloakClient{one}
		}
		if name != "" && name != r.Realm {
			return nil, fmt.Errorf("it is of the realm %q", r.Realm)
		}
		return &r, nil
	}
	var each []json.RawMessage
	if err := decode(text, &each); err != nil {
		return nil, err
	}
	var realms []*realm
	clients := &realm{}
	for _, one := range each {
		r, err := readRealm(one, "")
		if err != nil {
			return nil, err
		}
		if r.Realm == "" {
			clients.Clients = append(clients.Clients, r.Clients...)
		} else {
			realms = append(realms, r)
		}
	}
	var names []string
	for _, r := range realms {
		if r.Realm == name || name == "" && len(realms) == 1 {
			return r, nil
		}
		names = append(names, r.Realm)
	}
	if len(realms) > 0 {
		return nil, fmt.Errorf("it holds several realms; name one with --realm: %s", sorted(names))
	}
	return clients, nil
}
