package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"
)

// Under assets: our style and script; htmx 2.0.11 (0BSD); the Latin letters of
// Inter 4 (SIL OFL 1.1); icons of Lucide 1.62.0 (ISC).
//
//go:embed assets
var assetFiles embed.FS

// asset is a file that pages load.
type asset struct {
	kind  string // its media type
	plain []byte
	small []byte // by gzip; nil where that is not smaller
}

// readAssets returns the files by name, and a hash of all of them: their
// addresses hold it, so browsers keep them until they change.
func readAssets() (map[string]asset, string) {
	out := map[string]asset{}
	sum := sha256.New()
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err) // they are part of the program
	}
	for _, e := range entries {
		text, err := assetFiles.ReadFile(path.Join("assets", e.Name()))
		if err != nil {
			panic(err)
		}
		sum.Write(text)
		a := asset{kind: mime.TypeByExtension(path.Ext(e.Name())), plain: text}
		if path.Ext(e.Name()) == ".woff2" {
			a.kind = "font/woff2" // not known to every system
		} else {
			a.small = compressed(text)
		}
		out[e.Name()] = a
	}
	return out, hex.EncodeToString(sum.Sum(nil))[:12]
}

func compressed(text []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is right
	_, _ = w.Write(text)                                    // into memory
	_ = w.Close()
	return out.Bytes()
}

// asset answers with a file. Only files are compressed: pages hold secrets beside
// what others may choose, whose size would tell (CVE-2013-3587, BREACH).
func (c *Console) asset(g *gin.Context) {
	a, known := c.assets[g.Param("name")]
	if !known || g.Param("hash") != c.hash {
		g.Header("Cache-Control", "no-store")
		g.String(http.StatusNotFound, "there is no such file; load the page again")
		return
	}
	g.Header("Cache-Control", "public, max-age=31536000, immutable")
	g.Header("Vary", "Accept-Encoding")
	body := a.plain
	if a.small != nil && strings.Contains(g.GetHeader("Accept-Encoding"), "gzip") {
		g.Header("Content-Encoding", "gzip")
		body = a.small
	}
	g.Data(http.StatusOK, a.kind, body)
}

// assetPath is the address of a file, for templates.
func (c *Console) assetPath(name string) string { return "/console/assets/" + c.hash + "/" + name }
