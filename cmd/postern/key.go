package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) keyCommands() *cobra.Command {
	return group("key", "Manage the keys that sign and seal access tokens",
		a.keyListCommand(), a.keyRotateCommand(), a.keyRevokeCommand(), a.keyResealCommand())
}

func (a *remote) keyListCommand() *cobra.Command {
	return a.command(command{
		use: "list", short: "List signing and sealing keys",
		run: func(ctx context.Context, s *session, _ []string) error {
			keys, answer, err := decoded[api.List[api.Key]](ctx, s, request{method: http.MethodGet, path: "/keys"})
			if err != nil {
				return err
			}
			t := &table{none: "There are no keys yet: each is made when it is first needed.", columns: []column{
				{title: "KID"}, {title: "USE"}, {title: "ALGORITHM"}, {title: "STATE"}, {title: "ACTIVE"}, {title: "RETIRES", spare: true}, {title: "CREATED", spare: true},
			}}
			for _, k := range keys.Items {
				t.add(k.KID, k.Use, k.Algorithm, k.State, s.ago(k.ActiveAt), s.ago(k.RetireAt), s.ago(k.CreatedAt))
			}
			return s.show(answer.body, func(w *page) { t.write(w) })
		},
	})
}

func (a *remote) keyRotateCommand() *cobra.Command {
	var body struct {
		Algorithm string `json:"algorithm"`
	}
	c := a.command(command{
		use: "rotate", short: "Publish a new key, which signs once verifiers know it",
		run: func(ctx context.Context, s *session, _ []string) error {
			k, answer, err := decoded[api.Key](ctx, s, request{method: http.MethodPost, path: "/keys/rotate", body: &body})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { w.printf("Key %s is published, and is used %s.\n", k.KID, s.ago(k.ActiveAt)) })
		},
	})
	c.Flags().StringVar(&body.Algorithm, "algorithm", "ES256", "ES256, EdDSA, RS256; XC20P seals; statement: lists, feeds")
	return c
}

func (a *remote) keyRevokeCommand() *cobra.Command {
	return a.command(command{
		use: "revoke KID", short: "Take a key out of use at once; every token signed by it is dead", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			k, answer, err := decoded[api.Key](ctx, s, request{method: http.MethodPost, path: "/keys/" + escape(args[0]) + "/revoke"})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { w.printf("Key %s is revoked, and every token of it is dead.\n", k.KID) })
		},
	})
}

func (a *remote) keyResealCommand() *cobra.Command {
	return a.command(command{
		use: "reseal", short: "Seal all keys by the first key-encryption key",
		run: func(ctx context.Context, s *session, _ []string) error {
			done, answer, err := decoded[struct {
				Keys int `json:"keys"`
			}](ctx, s, request{method: http.MethodPost, path: "/keys/reseal"})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { w.printf("%s sealed anew.\n", plural(done.Keys, "key is", "keys are")) })
		},
	})
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
