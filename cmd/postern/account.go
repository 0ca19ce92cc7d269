package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/api"
)

func (a *remote) accountCommands() *cobra.Command {
	return group("account", "Manage accounts: people and technical users", a.accountListCommand(), a.accountGetCommand(),
		a.accountInviteCommand(), a.accountReinviteCommand(), a.accountAcceptCommand(), a.accountAdoptCommand(), a.accountEditCommand(),
		a.accountChange("deactivate", "Deactivate a person: sign-in and personal tokens stop at once"),
		a.accountChange("reactivate", "Reactivate a person"), a.accountDeleteCommand(),
		group("totp", "Manage the second factors of others", a.accountTOTPDeleteCommand()))
}

func (a *remote) accountListCommand() *cobra.Command {
	query := url.Values{}
	var limit int
	c := a.command(command{
		use: "list", short: "List people and technical users",
		run: func(ctx context.Context, s *session, _ []string) error {
			accounts, body, err := pages[api.Account](ctx, s, "/accounts", query, limit)
			if err != nil {
				return err
			}
			t := &table{none: "There are no accounts.", columns: []column{
				{title: "NAME", least: 16},
				{title: "KIND"},
				{title: "STATUS"},
				{title: "LICENCE", least: 9},
				{title: "ID"},
				{title: "TEAMS", least: 8, spare: true},
				{title: "DISPLAY NAME", least: 12, spare: true},
				{title: "CREATED", spare: true},
			}}
			for _, each := range accounts {
				t.add(each.Name, each.Kind, each.Status, each.Licence, each.ID, strings.Join(each.Teams, ", "), each.DisplayName, s.ago(each.CreatedAt))
			}
			return s.show(body, func(w *page) { t.write(w) })
		},
	})
	filters(c, query, map[string]string{
		"kind": "user or service", "status": "invited, active or deactivated", "search": "part of the name, display name, mail address or id",
	})
	limitFlag(c, &limit)
	return c
}

func (a *remote) accountGetCommand() *cobra.Command {
	return a.command(command{
		use: "get ACCOUNT", short: "Show an account, by name or id", args: cobra.ExactArgs(1),
		run: func(ctx context.Context, s *session, args []string) error {
			account, answer, err := decoded[api.Account](ctx, s, request{method: http.MethodGet, path: "/accounts/" + escape(args[0])})
			if err != nil {
				return err
			}
			return s.show(answer.body, func(w *page) { s.writeAccount(w, account) })
		},
	})
}

func (s *session) writeAccount(w *page, account *api.Account) {
	kind := "person"
	if account.Kind == "service" {
		kind = "technical user"
	}
	var f facts
	f.add("name", account.Name)
	f.add("id", account.ID)
	f.add("display name", account.DisplayName)
	f.add("kind", kind)
	f.add("mail", account.Email)
	f.add("status", account.Status)
	f.add("licence", account.Licence)
	f.add("signs in by", account.Provider)
	if account.SecondFactor {
		f.add("second factor", "a telephone")
	}
	f.more("teams", account.Teams)
	f.add("created", s.at(account.CreatedAt))
	f.write(w)
	for _, text := range account.Warnings {
		w.println("\nwarning: " + printable(text))
	}
}
