package browsertest_test

import (
	"testing"

	"postern/server/servertest"
)

// good is a password that is long enough.
const good = "correct horse battery"

// world is a running server with the example's data. Its administrator is admin,
// whose password is good.
type world struct{ *servertest.Server }

func start(t *testing.T) *world {
	t.Helper()
	w := &world{servertest.Start(t)}
	w.PostAs(t, w.AdminUser, w.AdminPassword, "/me/password", map[string]string{"current": w.AdminPassword, "new": good}, nil)
	return w
}

// invite makes an account and returns the link of its invitation.
func (w *world) invite(t *testing.T, name string) string {
	t.Helper()
	var invited struct{ Link string }
	w.Post(t, "/accounts", map[string]string{"name": name}, &invited)
	return invited.Link
}
