package importing

import (
	"encoding/json"
	"errors"
	"slices"
	"time"
)

type hydraClient struct {
	ClientID      string   `json:"client_id"`
	ClientName    string   `json:"client_name"`
	Secret        string   `json:"client_secret"`
	SecretExpires int64    `json:"client_secret_expires_at"` // seconds; 0 is never
	GrantTypes    []string `json:"grant_types"`
	AuthMethod    string   `json:"token_endpoint_auth_method"`
}

// Hydra reads what `hydra list oauth2-clients` and `hydra get oauth2-client`
// write with --format json: {"items": […]}, a list, or one client. Hydra shows
// no secrets; client_secret may be added from its database, where it is a hash,
// or be the text.
func Hydra(text []byte) (*List, error) {
	l := &List{}
	clients, more, err := readHydra(text)
	if err != nil {
		return nil, err
	}
	if more {
		l.warn("the file is one page of several; list them with a larger --page-size")
	}
	for i := range clients {
		c := &clients[i]
		if reason := c.unfit(); reason != "" {
			l.leave(c.ClientID, reason)
			continue
		}
		out := Client{ID: c.ClientID, Name: c.ClientName}
		out.setSecret(c.Secret)
		if c.SecretExpires > 0 {
			out.ExpiresAt = time.Unix(c.SecretExpires, 0).UTC()
		}
		l.Clients = append(l.Clients, out)
	}
	return l, nil
}

func (c *hydraClient) unfit() string {
	switch {
	case c.ClientID == "":
		return "it has no client_id"
	case c.AuthMethod == "none":
		return "it is public: it has no secret"
	case !slices.Contains(c.GrantTypes, "client_credentials"):
		return "it gets no tokens in its own name (no client_credentials)"
	case c.AuthMethod != "" && c.AuthMethod != "client_secret_basic" && c.AuthMethod != "client_secret_post":
		return "it authenticates by a key or certificate, not by a secret"
	case c.Secret == "":
		return "there is no secret in the file; add it from Hydra's database"
	}
	return ""
}

func readHydra(text []byte) (clients []hydraClient, more bool, err error) {
	if isList(text) {
		err := decode(text, &clients)
		return clients, false, err
	}
	var page struct {
		Items *[]hydraClient `json:"items"`
		Next  string         `json:"next_page_token"`
		Last  *bool          `json:"is_last_page"`
	}
	if err := decode(text, &page); err != nil {
		return nil, false, err
	}
	if page.Items != nil {
		return *page.Items, page.Last != nil && !*page.Last || page.Last == nil && page.Next != "", nil
	}
	var one hydraClient
	if err := json.Unmarshal(text, &one); err != nil {
		return nil, false, plainly(err)
	}
	if one.ClientID == "" {
		return nil, false, errors.New("it is no list of clients, and no client")
	}
	return []hydraClient{one}, false, nil
}
