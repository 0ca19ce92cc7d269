package oauth

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"postern/server/status"
	"postern/store"
)

// statusList serves a token status list (draft-ietf-oauth-status-list section 8).
// It is for everyone: it says of places, not of clients, whether they are good.
func (h *Handler) statusList(c *gin.Context) error {
	if err := h.telling(c, h.MaxStaleness); err != nil {
		return err
	}
	if c.Query("time") != "" { // section 8.4
		return &Error{Code: "invalid_request", Status: http.StatusNotImplemented, Description: "lists of the past are not kept; leave time away"}
	}
	n, err := strconv.ParseInt(c.Param("list"), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != c.Param("list") {
		return noList()
	}
	text, err := h.Status.Document(c.Request.Context(), n)
	if errors.Is(err, store.ErrNotFound) {
		return noList()
	}
	if err != nil {
		return err
	}
	h.cacheList(c)
	c.Data(http.StatusOK, "application/"+status.TypeList, []byte(text))
	return nil
}

func noList() error {
	return &Error{Code: "invalid_request", Status: http.StatusNotFound, Description: "there is no such status list"}
}

// statusLists says which lists there are (section 9.3 of the draft).
func (h *Handler) statusLists(c *gin.Context) error {
	if err := h.telling(c, h.MaxStaleness); err != nil {
		return err
	}
	h.cacheList(c)
	c.JSON(http.StatusOK, struct {
		Lists []string `json:"status_lists"`
	}{h.Status.URIs()})
	return nil
}

func (h *Handler) cacheList(c *gin.Context) {
	c.Header("Cache-Control", "public, max-age="+strconv.Itoa(int(status.ListTTL/time.Second)))
}

// telling refuses to say who is revoked from a state older than most.
func (h *Handler) telling(c *gin.Context, most time.Duration) error {
	if err := h.fresh(c); err != nil {
		return err
	}
	if h.age() > most {
		return &Error{
			Code: "temporarily_unavailable", Status: http.StatusServiceUnavailable,
			Description: "this node does not know yet what was revoked meanwhile; try again shortly",
		}
	}
	return nil
}

// age is for how long this node may have missed a revocation.
func (h *Handler) age() time.Duration { return max(h.State.Age(), h.Status.Age()) }
