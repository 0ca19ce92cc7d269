package gateway

import (
	"net/http"
	"strconv"

	"golang.org/x/net/http/httpguts"
)

// response is the ResponseWriter of a connection. It keeps an answer until the
// handler has returned.
type response struct {
	header http.Header
	status int
	body   []byte
}

func (w *response) reset() {
	clear(w.header)
	w.status, w.body = 0, w.body[:0]
}

// Header returns the header, which counts as it is when the handler returns.
func (w *response) Header() http.Header { return w.header }

// WriteHeader sets the status, the first time. Interim ones (1xx) are not sent.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

// Write adds to the body.
func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p...)
	return len(p), nil
}

// append writes the answer to r behind out, and reports whether the connection
// closes after it. An answer that cannot be written as it is becomes a 500:
// somebody got an end of line into a header.
func (w *response) append(out []byte, date string, r *http.Request, closing bool) ([]byte, bool) {
	start := len(out)
	w.WriteHeader(http.StatusOK)
	out = appendStatus(out, r.ProtoMinor, w.status)
	out = append(out, date...)
	for name, values := range w.header {
		switch name {
		case "Content-Length", "Transfer-Encoding", "Date":
			continue // ours
		case "Connection":
			closing = closing || httpguts.HeaderValuesContainsToken(values, "close")
			continue
		}
		if !httpguts.ValidHeaderFieldName(name) {
			return appendRefusal(out[:start], http.StatusInternalServerError, date), true
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return appendRefusal(out[:start], http.StatusInternalServerError, date), true
			}
			out = append(out, name...)
			out = append(out, ": "...)
			out = append(out, v...)
			out = append(out, "\r\n"...)
		}
	}
	switch {
	case closing:
		out = append(out, "Connection: close\r\n"...)
	case r.ProtoMinor == 0:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		return append(out, "\r\n"...), closing // these have no body (RFC 9110 sections 15.3.5 and 15.4.5)
	}
	out = append(out, "Content-Length: "...)
	out = strconv.AppendInt(out, int64(len(w.body)), 10)
	out = append(out, "\r\n\r\n"...)
	if r.Method != http.MethodHead {
		out = append(out, w.body...)
	}
	return out, closing
}

func appendStatus(out []byte, minor, status int) []byte {
	out = append(out, "HTTP/1."...)
	out = append(out, '0'+byte(minor&1), ' ')
	out = strconv.AppendInt(out, int64(status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(status)...)
	return append(out, "\r\n"...)
}

// appendRefusal writes an answer after which the connection closes.
func appendRefusal(out []byte, status int, date string) []byte {
	out = appendStatus(out, 1, status)
	out = append(out, date...)
	return append(out, "Content-Length: 0\r\nConnection: close\r\n\r\n"...)
}
