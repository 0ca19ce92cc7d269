package importing_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/cmd/postern/importing"
)

// seen is a client with what is known of its secret.
type seen struct {
	ID, Name, Description, Text, Hash, Workspace, Roles, Ends string
}

func see(l *importing.List) (clients []seen, left map[string]string) {
	left = map[string]string{}
	for _, c := range l.Clients {
		s := seen{ID: c.ID, Name: c.Name, Description: c.Description, Text: c.Secret.Reveal(), Hash: c.SecretHash, Workspace: c.Workspace, Roles: strings.Join(c.Roles, " ")}
		if !c.ExpiresAt.IsZero() {
			s.Ends = c.ExpiresAt.UTC().Format(time.RFC3339)
		}
		clients = append(clients, s)
	}
	for _, c := range l.Left {
		left[c.ID] = c.Reason
	}
	return clients, left
}

func file(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestKeycloak(t *testing.T) {
	l, err := importing.Keycloak(file(t, "realm.json"), "", map[string]string{"order-reader": "example-reader", "orders-api/write": "example-writer"})
	if err != nil {
		t.Fatal(err)
	}
	clients, left := see(l)
	if diff := cmp.Diff([]seen{
		{ID: "billing-exporter", Name: "Billing exporter", Description: "Exports invoices each night", Text: "hQ8zW2nLx5Rt7YvK3mBc9PfGd4Js6AeU", Roles: "example-reader example-writer"},
		{ID: "stock-sync", Text: "3f2b8c1e-9a47-4d06-b5e1-7c90ad21f864"},
	}, clients); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"account":      "it is public: it has no secret",
		"old-robot":    "it is disabled",
		"web-shop":     "it gets no tokens in its own name (no service account)",
		"orders-api":   "it is bearer-only, an API: see postern api create",
		"intranet":     "it speaks SAML or another protocol, not OAuth",
		"signed-robot": "it authenticates by a key or certificate, not by a secret",
		"masked-robot": "its secret is masked: export the realm with kc.sh export",
		"vault-robot":  "its secret is in a vault",
		"empty-robot":  "there is no secret in the file",
	}, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"these roles of service accounts are not given; name them with --map OLD=NEW: night-shift",
		"these clients also sign people in, which does not come along: stock-sync",
		"these clients have an older secret beside the present one, which stays behind: stock-sync",
	}, l.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// The other forms that Keycloak writes: several realms, a list of clients, one.
func TestKeycloakForms(t *testing.T) {
	const robot = `{"clientId":"robot","secret":"x","serviceAccountsEnabled":true}`
	realm := func(name string) string { return fmt.Sprintf(`{"realm":%q,"clients":[%s]}`, name, robot) }
	for name, tt := range map[string]struct {
		text, realm string
		clients     int
		err         string
	}{
		"one client":              {robot, "", 1, ""},
		"a list of clients":       {"[" + robot + "," + robot + "]", "", 2, ""},
		"a list of one realm":     {"[" + realm("a") + "]", "", 1, ""},
		"two realms, one named":   {"[" + realm("a") + "," + realm("b") + "]", "b", 1, ""},
		"two realms":              {"[" + realm("b") + "," + realm("a") + "]", "", 0, "it holds several realms; name one with --realm: a, b"},
		"another realm":           {realm("a"), "b", 0, `it is of the realm "a"`},
		"a realm without clients": {`{"realm":"a"}`, "", 0, "it is no export of a realm with clients, and no client"},
		"something else":          {`{"clientId":{"secret":"hunter2"}}`, "", 0, "clientId is not of the kind that is expected there"},
		"no JSON":                 {`{"secret":hunter2}`, "", 0, "it is no JSON: a fault at byte 11"},
		"nothing":                 {``, "", 0, "it is no JSON, or ends too early"},
		"more after it":           {robot + robot, "", 0, "there is more after the end of the JSON value"},
	} {
		l, err := importing.Keycloak([]byte(tt.text), tt.realm, nil)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: got error %v, want %q", name, err, tt.err)
			}
		} else if err != nil || len(l.Clients) != tt.clients {
			t.Errorf("%s: got %+v, %v; want %d clients", name, l, err, tt.clients)
		}
	}
}

func TestHydra(t *testing.T) {
	l, err := importing.Hydra(file(t, "hydra.json"))
	if err != nil {
		t.Fatal(err)
	}
	clients, left := see(l)
	if diff := cmp.Diff([]seen{
		{ID: "6f1a9d40-3f57-4d0e-8f0e-2f7f54a3a001", Name: "Nightly report", Hash: "$pbkdf2-sha256$i=25000,l=32$c2l4dGVlbiBieXRlcyBvaw$Gh92RP14W764sIfiSCZZsKjMJmPMZIEqbQu03sV4ze4"},
		{ID: "legacy-robot", Hash: "$2a$05$ra.75ozyTlL7NGE4uMm41.cAUvgzBCXwg5MVQFgc0xpWjlyJF.jnS", Ends: "2030-01-01T00:00:00Z"},
		{ID: "fresh-robot", Text: "k9.xT~2VbQ7mZ-4cRw8Lp_1NfY"},
	}, clients); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"spa":              "it is public: it has no secret",
		"web-shop":         "it gets no tokens in its own name (no client_credentials)",
		"default-grants":   "it gets no tokens in its own name (no client_credentials)",
		"signed-robot":     "it authenticates by a key or certificate, not by a secret",
		"secretless-robot": "there is no secret in the file; add it from Hydra's database",
	}, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	if len(l.Warnings) != 0 {
		t.Errorf("warnings: %v", l.Warnings)
	}
	const one = `{"client_id":"robot","client_secret":"x","grant_types":["client_credentials"]}`
	for name, tt := range map[string]struct {
		text              string
		clients, warnings int
		bad               bool
	}{
		"one client":           {one, 1, 0, false},
		"a list":               {"[" + one + "]", 1, 0, false},
		"an empty page":        {`{"items":[]}`, 0, 0, false},
		"a page of several":    {`{"items":[` + one + `],"next_page_token":"abc"}`, 1, 1, false},
		"a page, said at last": {`{"items":[` + one + `],"next_page_token":"abc","is_last_page":false}`, 1, 1, false},
		"something else":       {`{"realm":"a"}`, 0, 0, true},
		"of another kind":      {`{"items":{"client_secret":"hunter2"}}`, 0, 0, true},
	} {
		l, err := importing.Hydra([]byte(tt.text))
		if tt.bad != (err != nil) || err == nil && (len(l.Clients) != tt.clients || len(l.Warnings) != tt.warnings) {
			t.Errorf("%s: got %+v, %v", name, l, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error holds a secret: %v", name, err)
		}
	}
}

func TestCSV(t *testing.T) {
	l, err := importing.CSV(append([]byte("\xef\xbb\xbf"), file(t, "clients.csv")...))
	if err != nil {
		t.Fatal(err)
	}
	clients, left := see(l)
	if diff := cmp.Diff([]seen{
		{ID: "report-1", Name: "Report, daily", Description: "Runs at six", Text: "old secret 1", Roles: "example-reader", Ends: "2030-01-31T00:00:00Z"},
		{
			ID: "report-2", Name: "Report two", Hash: "$argon2id$v=19$m=1024,t=1,p=1$Xhw+OY4z634JSbo4D4njRw$KkrM8o7BsyHgtGAMGSiylaFqxom8fThkbs2kxT3TGkQ",
			Workspace: "default", Roles: "example-reader example-writer", Ends: "2030-01-31T10:00:00Z",
		},
	}, clients); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"report-3": "there is no secret in the file", "report-4": "it has a secret and a secret_hash; one of them is to be left empty",
		"report-5": "its secret looks like a hash, which belongs into secret_hash",
	}, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	for name, text := range map[string]string{
		"nothing":              "",
		"no titles":            "robot,hunter2\nrobot,hunter2\n",
		"a title twice":        "client_id,secret,secret\nrobot,hunter2,x\n",
		"no column of secrets": "client_id,name\nrobot,hunter2\n",
		"a short line":         "client_id,secret,name\nrobot,hunter2\n",
		"an open quote":        "client_id,secret\nrobot,\"hunter2\n",
		"an odd day":           "client_id,secret,expires\nrobot,x,hunter2\n",
	} {
		l, err := importing.CSV([]byte(text))
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %+v, %v; want an error of one line without what was sent", name, l, err)
		}
	}
}

// The law: whatever a file holds, every client of it is in the list once, or
// named with a reason, and no error or reason repeats its secret.
func FuzzReaders(f *testing.F) {
	for _, name := range []string{"realm.json", "hydra.json", "clients.csv"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, read := range map[string]func([]byte) (*importing.List, error){
			"keycloak": func(b []byte) (*importing.List, error) { return importing.Keycloak(b, "", nil) },
			"hydra":    importing.Hydra, "csv": importing.CSV,
		} {
			l, err := read(text)
			if (l == nil) == (err == nil) {
				t.Fatalf("%s: got %v, %v", name, l, err)
			}
			if err != nil {
				continue
			}
			for _, c := range l.Clients {
				if c.ID == "" || c.Secret.IsSet() == (c.SecretHash != "") {
					t.Errorf("%s: client %+v has no id, or not one secret", name, c)
				}
			}
			for _, c := range l.Left {
				if c.Reason == "" {
					t.Errorf("%s: %q is left out without a reason", name, c.ID)
				}
			}
		}
	})
}
