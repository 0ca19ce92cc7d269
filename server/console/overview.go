package console

import "net/http"

// overview is the first page: what there is, and what needs somebody.
func overview(v *visit) error {
	if v.workspace == nil {
		v.Redirect(http.StatusSeeOther, "/console/profile")
		return nil
	}
	return v.show("overview", http.StatusOK, page{Title: "Overview", Section: "overview"})
}
