package console

import (
	"net/http"
	"time"

	"postern/server/admin"
	"postern/server/keys"
)

// systemPage is how the node is, and the keys of the installation.
type systemPage struct {
	*admin.System // nil to a person who may only see the keys

	Keys   []keys.Info
	Rotate bool
	Revoke bool
}

// Read is how long a read from the store took.
func (p systemPage) Read() string { return p.Latency.Round(10 * time.Microsecond).String() }

// Old is how old the state is.
func (p systemPage) Old() string { return p.Age.Round(100 * time.Millisecond).String() }

// Fresh reports whether the state is as young as it should be.
func (p systemPage) Fresh() bool { return p.Age < 5*time.Second }

func system(v *visit) error {
	ctx, a := v.Request.Context(), v.console.Admin
	p := systemPage{Rotate: v.maySystem("key.rotate"), Revoke: v.maySystem("key.revoke")}
	var err error
	if p.Keys, err = a.Keys(ctx, v.by); err != nil {
		return err
	}
	p.System, err = a.System(ctx, v.by)
	if may, err := allowed(err); err != nil {
		return err
	} else if !may {
		p.System = nil
	}
	return v.show("system", http.StatusOK, page{Title: "Health and keys", Section: "system", Data: p})
}

// algorithm is that of a form or an address, or the usual one.
func (v *visit) algorithm() string {
	for _, name := range []string{v.form.Get("algorithm"), v.Query("algorithm")} {
		if name != "" {
			return name
		}
	}
	return keys.ES256
}

func confirmRotateKey(v *visit) error {
	name := v.algorithm()
	return v.confirm("Rotate the key of "+name+"?", confirmation{
		Text:   "A new key is published now and takes over once verifiers can know it. The old one goes on verifying until every token that it signed has ended. Nothing stops.",
		Action: "/console/system/keys/rotate", Button: "Rotate", Back: "/console/system", Section: "system", Hidden: []kept{{"algorithm", name}},
	}, crumb{"Health and keys", "/console/system"})
}

func rotateKey(v *visit) error {
	if _, err := v.console.Admin.RotateKey(v.Request.Context(), v.by, v.algorithm()); err != nil {
		return err
	}
	return v.done("key rotated", "/console/system")
}

func confirmRevokeKey(v *visit) error {
	kid := v.Param("kid")
	return v.confirm("Revoke the key "+kid+"?", confirmation{
		Text:   "It leaves the JWKS at once, and every token that it signed or sealed is dead at once, everywhere. This is for a key that leaked; rotate for anything else.",
		Action: "/console/system/keys/" + kid + "/revoke", Button: "Revoke", Danger: true, Back: "/console/system", Section: "system",
	}, crumb{"Health and keys", "/console/system"})
}

func revokeKey(v *visit) error {
	if _, err := v.console.Admin.RevokeKey(v.Request.Context(), v.by, v.Param("kid")); err != nil {
		return err
	}
	return v.done("key revoked", "/console/system")
}
