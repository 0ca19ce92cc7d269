package console

import (
	"crypto/rand"
	"errors"

	"postern/server/admin"
)

// onceField is the hidden field of a form whose answer is shown once: a secret, a
// link. {{template "once" .Form}} makes it.
const onceField = "once"

// onceValue is what stands in that field: a new value, or the one that was sent
// and led to nothing.
func onceValue(f form) string {
	if sent := f.Values.Get(onceField); sent != "" {
		return sent
	}
	return rand.Text()
}

// once is the actor of a form with the field once. What is sent a second time,
// such as by loading the answer again, makes nothing and shows nothing: the
// operation returns an error, of which madeBefore knows the rest.
func (v *visit) once() (*admin.Actor, error) {
	key := v.form.Get(onceField)
	if len(key) < 20 {
		return nil, &admin.Error{Kind: admin.Invalid, Message: "the form is not whole; open its page again"}
	}
	request := v.Request.URL.EscapedPath() + "?" + v.form.Encode()
	by := *v.by
	by.Once = &admin.Once{Key: "console " + key, Request: []byte(request), Shown: true}
	return &by, nil
}

// madeBefore is the id of what the form made when it was sent for the first time,
// if err says that this was not it.
func madeBefore(err error) (id string, before bool) {
	e, ok := errors.AsType[*admin.Error](err)
	if !ok || e.Made == "" {
		return "", false
	}
	return e.Made, true
}
