package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"postern/cmd/postern/importing"
	"postern/server/api"
	"postern/store"
)

func (a *remote) importCommands() *cobra.Command {
	realm, roles := "", map[string]string{}
	keycloak := a.importCommand("keycloak", "a Keycloak realm's export", `  postern import keycloak realm.json --workspace default --dry-run
  postern import keycloak realm.json --workspace default \
    --role example-reader --map order-reader=example-reader`,
		func(text []byte) (*importing.List, error) { return importing.Keycloak(text, realm, roles) })
	keycloak.Flags().StringVar(&realm, "realm", "", "realm to take, if the file holds several")
	keycloak.Flags().StringToStringVar(&roles, "map", nil, "`OLD=NEW`: a role of service accounts there, as role or client/role, and the role here; may be repeated")
	return group("import", "Import clients of other servers, with their ids and secrets",
		keycloak,
		a.importCommand("hydra", "a list of Ory Hydra's clients", `  postern import hydra clients.json --workspace default --role example-reader`, importing.Hydra),
		a.importCommand("csv", "a table in CSV",
			`  postern import csv clients.csv --workspace default --dry-run`, importing.CSV))
}

// importBatch is how many clients are sent at once: the weak secrets among them
// take the server a while.
const importBatch = 100

func (a *remote) importCommand(name, what, example string, read func([]byte) (*importing.List, error)) *cobra.Command {
	var workspace, expires string
	var roles []string
	var dryRun bool
	c := a.command(command{
		use: name + " FILE", short: "Import clients from " + what, example: example, args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			text, err := readFile(ctx, s.cmd, args[0])
			if err != nil {
				return err
			}
			list, err := read(text)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			s.warnings(list.Warnings)
			out, failed := s.importAll(ctx, list, workspace, roles, api.ClientImport{ExpiresIn: expires, DryRun: dryRun})
			sent := len(out.Items)
			for _, left := range list.Left {
				out.Left++
				out.Items = append(out.Items, api.ClientImported{ClientID: left.ID, Status: "left out", Reason: left.Reason})
			}
			body, err := json.Marshal(out)
			if err != nil {
				return err
			}
			if err := s.show(body, func(w *page) { s.writeImported(w, out, dryRun) }); err != nil {
				return err
			}
			if failed != nil {
				return failed
			}
			if missing := sent - out.Imported; missing > 0 {
				return fmt.Errorf("%d of %d clients that could come along are not imported; the table says why", missing, sent)
			}
			return nil
		},
	})
	f := c.Flags()
	f.StringVar(&workspace, "workspace", "default", "workspace of the clients, where the file names none")
	f.StringArrayVar(&roles, "role", nil, "`role` for each of them, by name; may be repeated")
	f.StringVar(&expires, "expires", "", "90d, 1y or never, for clients that have no end; the server's default otherwise")
	f.BoolVar(&dryRun, "dry-run", false, "only say what would come of it")
	return c
}

// importAll sends the clients, workspace by workspace. What was done before
// something failed is returned too.
func (s *session) importAll(ctx context.Context, list *importing.List, workspace string, roles []string, in api.ClientImport) (*api.ClientsImported, error) {
	out := &api.ClientsImported{Items: []api.ClientImported{}}
	var workspaces []string
	of := map[string][]api.ImportedClient{}
	for _, c := range list.Clients {
		at := c.Workspace
		if at == "" {
			at = workspace
		}
		if !slices.Contains(workspaces, at) {
			workspaces = append(workspaces, at)
		}
		sent := api.ImportedClient{
			ClientID: c.ID, Name: c.Name, Description: c.Description, Secret: c.Secret.Reveal(), SecretHash: c.SecretHash,
			Roles: append(slices.Clone(roles), c.Roles...),
		}
		if !c.ExpiresAt.IsZero() {
			sent.ExpiresAt = api.Time(store.At(c.ExpiresAt))
		}
		of[at] = append(of[at], sent)
	}
	for _, at := range workspaces {
		for batch := range slices.Chunk(of[at], importBatch) {
			in.Workspace, in.Clients = at, batch
			done, _, err := decoded[api.ClientsImported](ctx, s, request{method: http.MethodPost, path: "/clients/import", body: &in})
			if err != nil {
				return out, err
			}
			out.Imported += done.Imported
			out.Left += done.Left
			out.Items = append(out.Items, done.Items...)
		}
	}
	return out, nil
}

func (s *session) writeImported(w *page, out *api.ClientsImported, dryRun bool) {
	t := &table{none: "There are no clients in the file.", columns: []column{
		{title: "CLIENT", least: 14},
		{title: "STATUS"},
		{title: "REASON", least: 24},
		{title: "SECRET"},
		{title: "EXPIRES", spare: true},
		{title: "ACTS AS", least: 12, spare: true},
	}}
	for _, c := range out.Items {
		expires, kept, account := "", c.KeptBy, c.Account
		if c.Reason == "" {
			expires = s.expires(c.ExpiresAt)
		} else {
			kept, account = "", ""
		}
		t.add(c.ClientID, c.Status, c.Reason, kept, expires, account)
	}
	t.write(w)
	verb := "are imported"
	if dryRun {
		verb = "would be imported; nothing is changed"
	}
	w.printf("\n%d clients %s.", out.Imported, verb)
	if out.Left > 0 {
		w.printf(" %d are left out.", out.Left)
	}
	w.println()
}
