package oauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"postern/server/oauth"
)

// A client that does not wait for its answer is no error of ours; whatever else
// cannot be answered is, and so is a canceled context that is not the request's.
func TestWhoLeavesIsNoErrorOfOurs(t *testing.T) {
	canceled := fmt.Errorf("read the client: %w", context.Canceled)
	for _, row := range []struct {
		name string
		left bool
		err  error
		want string
	}{
		{"left", true, canceled, "level=DEBUG"},
		{"left, and the store was broken", true, errors.New("disk full"), "level=ERROR"},
		{"stayed", false, canceled, "level=ERROR"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var log bytes.Buffer
			h := oauth.New(oauth.Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if row.left {
				cancel()
			}
			c, _ := gin.CreateTestContext(httptest.NewRecorder())
			c.Request = httptest.NewRequestWithContext(ctx, http.MethodPost, "/oauth2/introspect", http.NoBody)
			h.Answer(c, row.err)
			if !strings.Contains(log.String(), row.want) {
				t.Errorf("the log has %q, want %s", log.String(), row.want)
			}
		})
	}
}
