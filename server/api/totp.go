package api

import (
	"context"

	"postern/server/admin"
	"postern/server/secret"
)

// TOTPStart is the body of POST /me/totp.
type TOTPStart struct {
	Password string `json:"password" maxLength:"512" doc:"The password once more."`
}

// TOTPStarted is the one answer that holds the secret of a second factor.
type TOTPStarted struct {
	Message string `json:"message"`
	Secret  string `json:"totp_secret" doc:"In base32, to type into an app. Shown this once."`
	URI     string `json:"uri" doc:"The same as an otpauth URI, which a QR code gives to an app."`
}

// TOTPConfirm is the body of POST /me/totp/confirm.
type TOTPConfirm struct {
	Code string `json:"code" maxLength:"64" doc:"Six digits, as the app shows them."`
}

// RecoveryCodes is the one answer that holds them.
type RecoveryCodes struct {
	Message string   `json:"message"`
	Codes   []string `json:"recovery_codes" doc:"Each stands in for a code once. Shown this once."`
}

// TOTPDelete is the body of POST /me/totp/delete.
type TOTPDelete struct {
	Password string `json:"password,omitempty" maxLength:"512"`
	Code     string `json:"code,omitempty" maxLength:"64" doc:"In place of the password: a code, or a recovery code."`
}

func (m *mounted) totp() {
	register(m, "me.totp.start", func(ctx context.Context, by *admin.Actor, in *struct{ Body TOTPStart }) (*struct{ Body TOTPStarted }, error) {
		made, err := m.Admin.StartTOTP(ctx, by, secret.Of(in.Body.Password))
		if err != nil {
			return nil, err
		}
		return &struct{ Body TOTPStarted }{TOTPStarted{
			"Give the secret to an app, and confirm a code of it: only then it is in force.", made.Secret.Reveal(), made.URI.Reveal(),
		}}, nil
	}, created)
	register(m, "me.totp.confirm", func(ctx context.Context, by *admin.Actor, in *struct{ Body TOTPConfirm }) (*struct{ Body RecoveryCodes }, error) {
		codes, err := m.Admin.ConfirmTOTP(ctx, by, in.Body.Code)
		if err != nil {
			return nil, err
		}
		out := RecoveryCodes{Message: "From now on your password alone does not suffice. Keep the recovery codes where the telephone is not."}
		for _, c := range codes {
			out.Codes = append(out.Codes, c.Reveal())
		}
		return &struct{ Body RecoveryCodes }{out}, nil
	})
	register(m, "me.totp.delete", func(ctx context.Context, by *admin.Actor, in *struct{ Body TOTPDelete }) (*messageAnswer, error) {
		_, err := m.Admin.DeleteTOTP(ctx, by, secret.Of(in.Body.Password), in.Body.Code)
		return said("Your second factor is removed; the password suffices.", err)
	})
	register(m, "account.totp.delete", func(ctx context.Context, by *admin.Actor, in *AccountPath) (*changedAccountAnswer, error) {
		acc, err := m.Admin.DeleteAccountTOTP(ctx, by, in.Account)
		if err != nil {
			return nil, err
		}
		return &changedAccountAnswer{etag(acc.Revision), ChangedAccount{"The second factor is removed; the password suffices.", m.wireAccount(acc)}}, nil
	})
}
