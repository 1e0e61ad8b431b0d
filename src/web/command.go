package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"tunneldigger/src/control"
)

const maxBody = 1024 // bytes of a command

// serveCommand carries out what the page asks for: kick ID, drain, drain off. No other site can have a browser send this:
// its content type takes a question beforehand, which is not answered, and browsers say where a request comes from.
func (s *Server) serveCommand(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "commands come from this server's own page", http.StatusForbidden)
		return
	}
	var words []string
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&words); err != nil || !allowed(words) {
		http.Error(w, `want ["kick", "ID"], ["drain"] or ["drain", "off"]`, http.StatusBadRequest)
		return
	}
	answer, err := s.options.Ask(words...)
	var refusal control.Refusal
	switch {
	case errors.As(err, &refusal):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		fail(w, err)
	default:
		s.options.Log.Printf("%s, for %s", strings.Join(words, " "), r.RemoteAddr)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(answer)
	}
}

func allowed(words []string) bool {
	switch len(words) {
	case 1:
		return words[0] == "drain"
	case 2:
		return words[0] == "drain" && words[1] == "off" || words[0] == "kick" && digits(words[1])
	}
	return false
}

func digits(s string) bool {
	return s != "" && len(s) <= 10 && strings.Trim(s, "0123456789") == ""
}
