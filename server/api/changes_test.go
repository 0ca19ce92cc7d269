package api_test

import (
	"fmt"
	"net/http"

	"postern/store"
)

// changesOfPeople has a call for each operation that changes accounts, teams, and
// what people have of their own.
func (w *world) changesOfPeople() map[string]func() changing {
	named := 0
	name := func() string { named++; return fmt.Sprint("person", named) }
	account := func(body any) func() changing {
		return func() changing {
			return changing{ids: map[string]string{"{account}": w.person(name(), "").id}, body: body}
		}
	}
	deactivated := func() changing {
		c := account(nil)()
		w.want(http.StatusOK, "POST", "/accounts/"+c.ids["{account}"]+"/deactivate", nil)
		return c
	}
	team := func(body any) func() changing {
		return func() changing {
			n := name()
			w.want(http.StatusCreated, "POST", "/teams", object{"name": n})
			return changing{ids: map[string]string{"{team}": n}, body: body}
		}
	}
	member := func() changing {
		c := team(nil)()
		c.ids["{account}"] = w.machine("default").account
		return c
	}
	w.everyone("default")
	// Everybody may change what is their own, but a machine has nothing.
	machine := w.machine("default", "member").secret
	personal := func(revoked bool, body any) func() changing {
		return func() changing {
			p := w.person(name(), "default", "member")
			made := w.personal(p, object{"name": "laptop"})
			if revoked {
				w.want(http.StatusOK, "POST", "/clients/"+made.id+"/revoke", nil)
			}
			return changing{ids: map[string]string{"{client}": made.id}, body: body, who: p, lesser: machine, hidden: true}
		}
	}
	return map[string]func() changing{
		"account.invite":     func() changing { return changing{body: object{"name": name()}} },
		"account.edit":       account(object{"display_name": "d"}),
		"account.reinvite":   account(nil),
		"account.deactivate": account(nil),
		"account.reactivate": deactivated,
		"account.delete":     deactivated,
		"invitation.accept": func() changing {
			token := w.want(http.StatusCreated, "POST", "/accounts", object{"name": name()}).text("token")
			return changing{body: object{"token": token, "password": "correct horse battery"}}
		},
		"team.create": func() changing { return changing{body: object{"name": name()}} },
		"team.edit":   team(object{"description": "d"}),
		"team.delete": team(nil),
		"team.member.add": func() changing {
			return member()
		},
		"team.member.remove": func() changing {
			c := member()
			w.want(http.StatusOK, "PUT", "/teams/"+c.ids["{team}"]+"/members/"+c.ids["{account}"], nil)
			return c
		},

		"me.password": func() changing {
			p := w.person(name(), "default", "member")
			return changing{who: p, body: object{"current": p.password, "new": "another horse battery"}, lesser: machine}
		},
		"me.totp.start": func() changing {
			p := w.person(name(), "default", "member")
			return changing{who: p, body: object{"password": p.password}, lesser: machine}
		},
		"me.totp.confirm": func() changing {
			p, secret := w.telephone(name())
			return changing{who: p, body: object{"code": w.code(secret)}, lesser: machine}
		},
		"me.totp.delete": func() changing {
			p, _ := w.telephone(name())
			return changing{who: p, body: object{"password": p.password}, lesser: machine}
		},
		"account.totp.delete": func() changing {
			p, _ := w.telephone(name())
			return changing{ids: map[string]string{"{account}": p.id}}
		},
		"me.client.create": func() changing {
			return changing{who: w.person(name(), "default", "member"), body: object{"name": "laptop"}, lesser: machine}
		},
		"me.client.confirm": func() changing {
			p := w.person(name(), "default", "member")
			made := w.as(p.name, p.password, "POST", "/me/clients", object{"name": "laptop", "confirm": true})
			return changing{who: p, ids: map[string]string{"{client}": made.text("client_id")}, lesser: machine, hidden: true}
		},
		"me.client.rotate": personal(false, nil),
		"me.client.secret.revoke": func() changing {
			c := personal(false, nil)()
			at := "/me/clients/" + c.ids["{client}"]
			made := w.as(c.who.name, c.who.password, "POST", at+"/secrets", object{"keep": true})
			c.ids["{secret}"] = made.text("secret_id")
			return c
		},
		"me.client.revoke":  personal(false, nil),
		"me.client.restore": personal(true, nil),
		"me.client.delete":  personal(true, nil),
		"client.takeover": func() changing {
			n := name()
			p := w.person(n, "default", "admin", "example-writer")
			token := w.personal(p, object{"name": "laptop"})
			made := w.want(http.StatusCreated, "POST", "/clients", object{"name": "x", "workspace": "default"})
			return changing{ids: map[string]string{"{client}": made.text("client_id")}, as: token.secret}
		},
		"workspace.transfer": func() changing {
			n := name()
			w.workspace(n)
			p := w.person(name(), "default", "member")
			return changing{ids: map[string]string{"{workspace}": n}, body: object{"to": p.id}, hidden: true}
		},
		"workspace.delete": func() changing {
			n := name()
			w.workspace(n)
			return changing{ids: map[string]string{"{workspace}": n}, match: "/workspaces/" + n, hidden: true}
		},

		"webhook.create": func() changing {
			return changing{body: object{"workspace": "default", "name": name(), "url": "https://hooks.example/x"}}
		},
		"webhook.edit":   w.hook(name, object{"name": "n"}),
		"webhook.delete": w.hook(name, nil),
		"webhook.rotate": w.hook(name, nil),
		"webhook.test":   w.hook(name, nil),
		"delivery.retry": func() changing {
			c := w.hook(name, nil)()
			d := &store.Delivery{
				ID: store.NewDeliveryID(store.At(w.now())), Webhook: store.WebhookID(c.ids["{webhook}"]), Event: "client.revoked",
				Body: []byte(`{}`), Status: store.DeliveryFailed, CreatedAt: store.At(w.now()),
			}
			if err := w.state.Commit(w.t.Context(), store.Insert(d)); err != nil {
				w.t.Fatal(err)
			}
			c.ids["{delivery}"] = string(d.ID)
			return c
		},
		"account.adopt": account(object{"user_name": "someone"}),
		"team.adopt":    team(nil),
		"client.import": func() changing {
			return changing{body: object{"workspace": "default", "clients": []object{{"client_id": name(), "secret": "imported-secret-of-long-ago"}}}}
		},
	}
}

// hook makes a webhook for a change of it.
func (w *world) hook(name func() string, body any) func() changing {
	return func() changing {
		made := w.want(http.StatusCreated, "POST", "/webhooks", object{"workspace": "default", "name": name(), "url": "https://hooks.example/x"})
		return changing{ids: map[string]string{"{webhook}": made.text("webhook.id")}, body: body}
	}
}
