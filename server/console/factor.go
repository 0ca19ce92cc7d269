package console

import (
	"net/http"
	"strings"

	"postern/server/otp"
	"postern/server/secret"
)

// factorPage is the page of one's second factor.
type factorPage struct {
	Form   form
	On     bool
	Left   int    // recovery codes
	Secret string // of a new one, in groups of four; shown in one answer
	QR     qrCode
	Given  bool     // a new one waits for its first code
	Codes  []string // recovery codes, shown in one answer
}

// qrCode is a path of an SVG image, which is so many units wide and high.
type qrCode struct {
	Path string
	Size int
}

func (v *visit) showFactor(status int, p factorPage) error {
	acc := v.by.Account()
	p.On, p.Left = acc.SecondFactor, len(acc.RecoveryHashes)
	title := "Set up a second factor"
	switch {
	case p.Codes != nil:
		title = "Save your recovery codes"
	case p.On:
		title = "Remove your second factor"
	}
	return v.show("factor", status, page{Title: title, Section: "profile", Crumbs: []crumb{{"Your profile", profilePath}}, Data: p})
}

func factor(v *visit) error { return v.showFactor(http.StatusOK, factorPage{}) }

// startFactor shows the secret of a new second factor. Sent again it makes another
// one, and the one before is of no use.
func startFactor(v *visit) error {
	made, err := v.console.Admin.StartTOTP(v.Request.Context(), v.by, secret.Of(v.form.Get("password")))
	if err != nil {
		return v.factorFault(err, factorPage{})
	}
	p := factorPage{Given: true, Secret: grouped(made.Secret.Reveal())}
	if p.QR.Path, p.QR.Size, err = otp.QR(made.URI); err != nil {
		return err
	}
	return v.showFactor(http.StatusOK, p)
}

func confirmFactor(v *visit) error {
	codes, err := v.console.Admin.ConfirmTOTP(v.Request.Context(), v.by, v.form.Get("code"))
	if err != nil {
		return v.factorFault(err, factorPage{Given: true})
	}
	p := factorPage{}
	for _, c := range codes {
		p.Codes = append(p.Codes, c.Reveal())
	}
	return v.showFactor(http.StatusOK, p)
}

func removeFactor(v *visit) error {
	if _, err := v.console.Admin.DeleteTOTP(v.Request.Context(), v.by, secret.Of(v.form.Get("password")), ""); err != nil {
		return v.factorFault(err, factorPage{})
	}
	return v.done("factor removed", profilePath)
}

// factorFault shows the form again when what was typed is wrong.
func (v *visit) factorFault(err error, p factorPage) error {
	if status := statusOf(err); status != http.StatusUnprocessableEntity && status != http.StatusTooManyRequests {
		return err
	}
	p.Form.take(err)
	v.limited(err)
	return v.showFactor(statusOf(err), p)
}

// grouped parts a text to type into groups of four.
func grouped(text string) string {
	var out []string
	for len(text) > 4 {
		out, text = append(out, text[:4]), text[4:]
	}
	return strings.Join(append(out, text), " ")
}
