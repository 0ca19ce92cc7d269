package console

import (
	"net/http"
	"time"

	"postern/server/admin"
	"postern/store"
)

// rotate makes a new secret, and answers with the page that shows it.
func rotate(v *visit) error {
	by, err := v.once()
	if err != nil {
		return err
	}
	id := store.ClientID(v.Param("client"))
	in := admin.Rotation{Label: v.form.Get("label"), Keep: on(v.form, "keep")}
	if text := v.form.Get("overlap"); text != "" {
		if in.Overlap, err = time.ParseDuration(text); err != nil {
			return &admin.Error{Kind: admin.Invalid, Message: "overlap: is none of those that are offered"}
		}
	}
	made, err := v.console.Admin.RotateSecret(v.Request.Context(), by, id, in)
	if made, before := madeBefore(err); before {
		v.Redirect(http.StatusSeeOther, clientPath(store.ClientID(made))+"/save")
		return nil
	}
	if err != nil {
		return err
	}
	return v.showSecret(made)
}
