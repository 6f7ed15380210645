package driver

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// methods are the handlers of the protocol by path. It is no http.ServeMux, because that
// answers a path that it does not have in plain text, and one that is not clean by none.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch handler := m[r.URL.Path]; {
	case handler == nil:
		_ = answerWith(w, http.StatusNotFound, done{fmt.Sprintf("no such method: %.64q", r.URL.Path)})
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		_ = answerWith(w, http.StatusMethodNotAllowed, done{fmt.Sprintf("%s is called by %s", r.URL.Path, http.MethodPost)})
	default:
		handler(w, r)
	}
}

// answerWith writes an answer. An error is a caller that has gone.
func answerWith(w http.ResponseWriter, status int, answer any) error {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(answer)
}
