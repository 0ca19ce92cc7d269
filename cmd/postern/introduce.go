package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"postern/server/admin"
)

// bootstrapFile is what is written of the first start for a program to read.
type bootstrapFile struct {
	Issuer  string            `json:"issuer"`
	Admin   bootstrapAdmin    `json:"admin"`
	Example *bootstrapExample `json:"example,omitempty"`
}

type bootstrapAdmin struct {
	Username     string `json:"username"`
	Password     string `json:"password"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

type bootstrapExample struct {
	API                 string        `json:"api"`
	Audience            string        `json:"audience"`
	ClientID            string        `json:"client_id"`
	ClientSecret        string        `json:"client_secret"`
	GatewayClientID     string        `json:"gateway_client_id"`
	GatewayClientSecret string        `json:"gateway_client_secret"`
	Allowed             bootstrapCall `json:"allowed"`
	Denied              bootstrapCall `json:"denied"`
}

type bootstrapCall struct {
	Method string `json:"method"`
	Path   string `json:"path"`
}

// firstStart is a filled store and where its secrets go.
type firstStart struct {
	made *admin.Bootstrap
	file string // empty: onto the terminal
}

// bootstrap fills an empty store when allowed, and writes the secrets to a file
// before anything else can fail, unless they go onto the terminal.
func (n *node) bootstrap(ctx context.Context, allowed bool) (*firstStart, error) {
	if !allowed {
		return nil, nil //nolint:nilnil // nothing was made, and that is no error
	}
	first := &firstStart{file: n.cfg.Bootstrap.File}
	if first.file == "" && !term.IsTerminal(int(os.Stdout.Fd())) {
		if n.cfg.Store.Driver != "sqlite" {
			return nil, errors.New("there is no terminal to show the first secrets on; say where they go with --bootstrap-file")
		}
		first.file = filepath.Join(n.cfg.Store.SQLite.Dir, "bootstrap.json")
	}
	var out *os.File
	if first.file != "" {
		var err error
		// Opened before the secrets are made: they exist nowhere else. The name
		// becomes final only when they are written.
		out, err = os.OpenFile(first.file+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("bootstrap file: %w", err)
		}
		defer func() { _ = os.Remove(first.file + ".new") }() // gone already when it was renamed
		defer func() { _ = out.Close() }()
	}
	made, err := n.server.Bootstrap(ctx, n.cfg.Bootstrap.Example)
	if err != nil || made == nil {
		return nil, err
	}
	first.made = made
	if out != nil {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err := e.Encode(n.describe(made))
		if err == nil {
			err = out.Sync()
		}
		if err == nil {
			err = os.Rename(first.file+".new", first.file)
		}
		if err != nil {
			return nil, fmt.Errorf("write %s: %w; the store is filled but its first secrets are lost: remove it and start again", first.file, err)
		}
	}
	return first, nil
}

func (n *node) describe(b *admin.Bootstrap) bootstrapFile {
	f := bootstrapFile{Issuer: n.cfg.Issuer(), Admin: bootstrapAdmin{
		b.AdminUser, b.AdminPassword, string(b.Admin.Client.ID), b.Admin.Secret.Reveal(),
	}}
	if b.API != nil {
		f.Example = &bootstrapExample{
			API: b.API.Name, Audience: b.API.Audience,
			ClientID: string(b.Example.Client.ID), ClientSecret: b.Example.Secret.Reveal(),
			GatewayClientID: string(b.Gateway.Client.ID), GatewayClientSecret: b.Gateway.Secret.Reveal(),
			Allowed: bootstrapCall{b.Allowed.Methods, b.Allowed.Path}, Denied: bootstrapCall{b.Denied.Methods, b.Denied.Path},
		}
	}
	return f
}

// introduce tells what the first start made: once, on the terminal, or where it
// was written.
func (n *node) introduce(first *firstStart) {
	if first.file != "" {
		n.log.Info("the first secrets are in a file; move them to a safe place and delete it", "file", first.file)
		return
	}
	fmt.Print(introduction(n.describe(first.made), n.cfg.Gateway.Listen))
}
