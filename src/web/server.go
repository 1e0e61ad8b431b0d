package web

import (
	"context"
	"embed"
	"encoding/json"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed page/index.html page/style.css page/tunneldigger.css page/icon.svg page/page.js page/tunneldigger.js
var files embed.FS

const (
	fresh    = time.Second      // for which an answer of the broker serves everybody who asks
	watching = time.Minute      // after the last request somebody is taken to look still
	often    = 10 * time.Second // between two points of the history while somebody looks
	seldom   = time.Minute      // and while nobody does
)

// Options say what a Server serves.
type Options struct {
	Ask Ask
	// Control lets whoever reaches the page kick and drain. Ask must reach the broker's own socket then.
	Control bool
	// Hosts are the names that the page may be reached by, beside addresses and localhost: of any other name a page of a
	// stranger may have been told that it stands for this machine.
	Hosts []string
	Log   *log.Logger
	Now   func() time.Time // time.Now; another clock in tests
}

// Server is the page and what belongs to it, an http.Handler.
type Server struct {
	options Options
	mux     *http.ServeMux
	history history

	mu      sync.Mutex // of what follows
	asked   time.Time  // when somebody last looked
	status  answer
	failing string
}

// answer is what the broker said last.
type answer struct {
	mu   sync.Mutex // held while the broker is asked, so that many who look ask once
	at   time.Time
	body []byte
	err  error
}

// New makes a Server.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{options: o, mux: http.NewServeMux()}
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the files are part of the program
	}
	s.mux.Handle("GET /", http.FileServerFS(page))
	s.mux.HandleFunc("GET /status.json", s.serveStatus)
	s.mux.HandleFunc("GET /history.json", s.serveHistory)
	s.mux.HandleFunc("GET /metrics", s.serveMetrics)
	s.mux.HandleFunc("GET /healthz", s.serveHealth)
	if o.Control {
		s.mux.HandleFunc("POST /command", s.serveCommand)
	}
	return s
}

// headers go with every answer. The policy allows scripts and styles of this server's files only: a UUID that is a piece
// of a page can do nothing, wherever it should end up.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"X-Frame-Options":              "DENY",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
	"Cache-Control":                "no-store",
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range headers {
		w.Header().Set(name, value)
	}
	if !s.known(r.Host) {
		http.Error(w, "this page is not known by the name "+quote(r.Host)+": start tunneldigger-web with --host NAME for it", http.StatusMisdirectedRequest)
		return
	}
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || r.Header.Get("Range") != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	z := &packed{ResponseWriter: w}
	defer z.close()
	s.mux.ServeHTTP(z, r)
}

// known reports whether a request was meant for this server.
func (s *Server) known(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	return net.ParseIP(host) != nil || strings.EqualFold(host, "localhost") ||
		slices.ContainsFunc(s.options.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// quote is a name that a stranger chose, short and in plain letters.
func quote(name string) string {
	b := make([]byte, 0, 64)
	for i := 0; i < len(name) && len(b) < 60; i++ {
		if c := name[i]; c > ' ' && c < 0x7f {
			b = append(b, c)
		} else {
			b = append(b, '?')
		}
	}
	return "'" + string(b) + "'"
}

// now is the broker's status, at most a second old.
func (s *Server) now() ([]byte, error) {
	a := &s.status
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := s.options.Now(); a.at.IsZero() || now.Sub(a.at) >= fresh {
		a.body, a.err = s.options.Ask("status", "json")
		a.at = s.options.Now()
		s.tell(a.err)
	}
	return a.body, a.err
}

// tell logs what is wrong with the broker, once.
func (s *Server) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.mu.Lock()
	changed := text != s.failing
	s.failing = text
	s.mu.Unlock()
	switch {
	case !changed:
	case text == "":
		s.options.Log.Print("the broker answers")
	default:
		s.options.Log.Print("the broker does not answer: ", text)
	}
}

func (s *Server) looked() {
	s.mu.Lock()
	s.asked = s.options.Now()
	s.mu.Unlock()
}

func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	s.looked()
	body, err := s.now()
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func (s *Server) serveHistory(w http.ResponseWriter, _ *http.Request) {
	s.looked()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct {
		Control bool    `json:"control"`
		Points  []Point `json:"points"`
	}{s.options.Control, s.history.last()})
}

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	words := []string{"status", "prometheus"}
	if r.URL.Query().Has("tunnels") {
		words = append(words, "tunnels")
	}
	body, err := s.options.Ask(words...)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(body)
}

func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	if _, err := s.now(); err != nil {
		fail(w, err)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// fail says that the broker does not answer, in words for whoever looks.
func fail(w http.ResponseWriter, err error) {
	http.Error(w, "the broker does not answer: "+err.Error(), http.StatusBadGateway)
}

// Run keeps the history until ctx ends: a point every ten seconds while somebody looks, and every minute else.
func (s *Server) Run(ctx context.Context) {
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		s.Sample()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Sample adds a point to the history if it is time for one.
func (s *Server) Sample() {
	now := s.options.Now()
	s.mu.Lock()
	looks := now.Sub(s.asked) < watching
	s.mu.Unlock()
	s.history.mu.Lock()
	since := now.Sub(s.history.at)
	s.history.mu.Unlock()
	if !looks && since < seldom-often/2 {
		return
	}
	if body, err := s.now(); err == nil {
		s.tell(s.history.add(now, body))
	}
}
