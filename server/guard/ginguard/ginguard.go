// Package ginguard is guard for Gin.
//
//	r.Use(ginguard.Require(g, "orders:read"))
//	r.GET("/orders/:id", func(c *gin.Context) { id := guard.FromContext(c.Request.Context()) … })
package ginguard

import (
	"github.com/gin-gonic/gin"

	"postern/server/guard"
)

// Require lets pass what g does, with all of these scopes, and ends the chain of
// handlers otherwise.
func Require(g *guard.Guard, scopes ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		r, ok := g.Admit(c.Writer, c.Request, scopes...)
		if !ok {
			c.Abort()
			return
		}
		c.Request = r
		c.Next()
	}
}
