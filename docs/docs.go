// Package docs has the guides, for the console to show.
package docs

import "embed"

// Files are the guides, in Markdown.
//
//go:embed *.md
var Files embed.FS
