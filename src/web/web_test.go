package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tunneldigger/src/control"
)

// broker is a stand-in: it prints a status and remembers what it was asked.
type broker struct {
	asked  atomic.Int64
	words  []string
	status string
	err    error
}

func (b *broker) ask(words ...string) ([]byte, error) {
	b.asked.Add(1)
	b.words = words
	if b.err != nil {
		return nil, b.err
	}
	switch strings.Join(words, " ") {
	case "status json":
		return []byte(b.status), nil
	case "status prometheus":
		return []byte("tunneldigger_tunnels 1\n"), nil
	case "status prometheus tunnels":
		return []byte("tunneldigger_tunnels 1\ntunneldigger_tunnel_mtu 2\n"), nil
	}
	return []byte("Done.\n"), nil
}

const one = `{"pid":7,"brokers":[{"queued":3}],"tunnels":[{"id":100,"interface":"l2tp100-100","broker":"wan","rx_bytes":%d,"tx_bytes":%d}]}`

func serverOf(b *broker, now *time.Time, options Options) *Server {
	options.Ask, options.Log = b.ask, log.New(io.Discard, "", 0)
	options.Now = func() time.Time { return *now }
	return New(options)
}

func get(s *Server, method, url, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:9142"+url, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestAnswers(t *testing.T) {
	now := time.Unix(1000000, 0)
	b := &broker{status: fmt.Sprintf(one, 0, 0)}
	s := serverOf(b, &now, Options{})
	for _, c := range []struct {
		url, kind, has string
		status         int
	}{
		{"/", "text/html; charset=utf-8", "<title>Tunneldigger broker</title>", 200},
		{"/tunneldigger.js", "text/javascript; charset=utf-8", "textContent", 200},
		{"/page.js", "text/javascript; charset=utf-8", "fetch", 200},
		{"/style.css", "text/css; charset=utf-8", "color-scheme: light dark", 200},
		{"/tunneldigger.css", "text/css; charset=utf-8", "light-dark(", 200},
		{"/icon.svg", "image/svg+xml", "<svg", 200},
		{"/status.json", "application/json", `"pid":7`, 200},
		{"/history.json", "application/json", `{"control":false,"points":[]}`, 200},
		{"/metrics", "text/plain; version=0.0.4; charset=utf-8", "tunneldigger_tunnels 1\n", 200},
		{"/metrics?tunnels", "text/plain; version=0.0.4; charset=utf-8", "tunneldigger_tunnel_mtu 2\n", 200},
		{"/healthz", "text/plain; charset=utf-8", "ok\n", 200},
		{"/../../etc/passwd", "text/plain; charset=utf-8", "not found", 404},
		{"/command", "text/plain; charset=utf-8", "", 404},
	} {
		for _, packed := range []bool{false, true} {
			var asks []string
			if packed {
				asks = []string{"Accept-Encoding", "gzip"}
			}
			w := get(s, "GET", c.url, "", asks...)
			body := w.Body.String()
			if w.Header().Get("Content-Encoding") == "gzip" {
				z, err := gzip.NewReader(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(z)
				if err != nil {
					t.Fatal(err)
				}
				body = string(plain)
			} else if packed && c.status == 200 {
				t.Errorf("%s is not compressed", c.url)
			}
			if c.url == "/../../etc/passwd" && w.Code == http.StatusTemporaryRedirect || w.Code == http.StatusMovedPermanently {
				continue // to the cleaned path
			}
			if w.Code != c.status || w.Header().Get("Content-Type") != c.kind || !strings.Contains(body, c.has) {
				t.Errorf("%s: %d %s %.200s", c.url, w.Code, w.Header().Get("Content-Type"), body)
			}
			for name, value := range headers {
				if w.Header().Get(name) != value && (name != "Cache-Control" || c.status == 200) { // http.Error takes that away
					t.Errorf("%s: %s is %q", c.url, name, w.Header().Get(name))
				}
			}
		}
	}
}

// A page of a stranger must not learn about this machine by a name that it made stand for it.
func TestHosts(t *testing.T) {
	now := time.Unix(1000000, 0)
	s := serverOf(&broker{status: "{}"}, &now, Options{Hosts: []string{"gateway.example"}})
	for host, want := range map[string]int{
		"127.0.0.1:9142": 200, "[::1]:9142": 200, "localhost:9142": 200, "192.0.2.1": 200, "gateway.example": 200, "GATEWAY.example:80": 200,
		"evil.example": http.StatusMisdirectedRequest, "evil.example:9142": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest,
		"a<b>\x00.example": http.StatusMisdirectedRequest,
	} {
		r := httptest.NewRequest("GET", "/status.json", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != want || strings.ContainsAny(w.Body.String(), "\x00") {
			t.Errorf("%q: %d %s", host, w.Code, w.Body)
		}
	}
}

// Many who look ask the broker once a second.
func TestAskedOnce(t *testing.T) {
	now := time.Unix(1000000, 0)
	b := &broker{status: "{}"}
	s := serverOf(b, &now, Options{})
	for range 50 {
		get(s, "GET", "/status.json", "")
	}
	if n := b.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	now = now.Add(time.Second)
	get(s, "GET", "/status.json", "")
	if n := b.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestBrokerAway(t *testing.T) {
	now := time.Unix(1000000, 0)
	b := &broker{err: control.ErrNoBroker}
	s := serverOf(b, &now, Options{})
	for _, url := range []string{"/status.json", "/metrics", "/healthz"} {
		if w := get(s, "GET", url, "", "Accept-Encoding", "gzip"); w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "no broker answers") {
			t.Errorf("%s: %d %s", url, w.Code, w.Body)
		}
	}
	s.Sample()
	b.err, b.status = nil, "no JSON"
	now = now.Add(time.Hour)
	s.Sample()
	if p := s.history.last(); len(p) != 0 {
		t.Errorf("%+v", p)
	}
}

func TestCommands(t *testing.T) {
	now := time.Unix(1000000, 0)
	const kind = "Content-Type"
	for _, c := range []struct {
		name    string
		control bool
		body    string
		headers []string
		status  int
		asked   string
	}{
		{"not started for it", false, `["drain"]`, []string{kind, "application/json"}, 405, ""},
		{"drain", true, `["drain"]`, []string{kind, "application/json", "Sec-Fetch-Site", "same-origin"}, 200, "drain"},
		{"drain off", true, `["drain","off"]`, []string{kind, "application/json"}, 200, "drain off"},
		{"kick", true, `["kick","100"]`, []string{kind, "application/json"}, 200, "kick 100"},
		{"of another site", true, `["drain"]`, []string{kind, "application/json", "Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"a form", true, `["drain"]`, []string{kind, "text/plain"}, 403, ""},
		{"upgrade", true, `["upgrade"]`, []string{kind, "application/json"}, 400, ""},
		{"kick by name", true, `["kick","a b"]`, []string{kind, "application/json"}, 400, ""},
		{"too long", true, `["kick","` + strings.Repeat("1", 2000) + `"]`, []string{kind, "application/json"}, 400, ""},
		{"no list", true, `{}`, []string{kind, "application/json"}, 400, ""},
	} {
		b := &broker{}
		w := get(serverOf(b, &now, Options{Control: c.control}), "POST", "/command", c.body, c.headers...)
		if w.Code != c.status || strings.Join(b.words, " ") != c.asked {
			t.Errorf("%s: %d %s, asked %q", c.name, w.Code, w.Body, b.words)
		}
	}
	b := &broker{err: control.Refusal("there is no tunnel 100")}
	if w := get(serverOf(b, &now, Options{Control: true}), "POST", "/command", `["kick","100"]`, kind, "application/json"); w.Code != 409 || w.Body.String() != "there is no tunnel 100\n" {
		t.Errorf("refused: %d %s", w.Code, w.Body)
	}
}

func TestHistory(t *testing.T) {
	now := time.Unix(1000000, 0)
	b := &broker{status: fmt.Sprintf(one, 1000, 5000)}
	s := serverOf(b, &now, Options{})
	step := func(d time.Duration, rx, tx int) {
		now = now.Add(d)
		b.status = fmt.Sprintf(one, rx, tx)
		s.Sample()
	}
	step(0, 1000, 5000)
	step(often, 2000, 9000) // nobody looks
	step(seldom-often, 61000, 5000+120000)
	get(s, "GET", "/history.json", "")
	step(often, 61000+10000, 125000) // somebody does
	step(often, 0, 0)                // another tunnel by now
	want := `[{"time":1000000,"tunnels":1,"waiting":3,"rx":null,"tx":null},{"time":1000060,"tunnels":1,"waiting":3,"rx":8000,"tx":16000},` +
		`{"time":1000070,"tunnels":1,"waiting":3,"rx":8000,"tx":0},{"time":1000080,"tunnels":1,"waiting":3,"rx":0,"tx":0}]`
	if got, err := json.Marshal(s.history.last()); err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	for range 500 {
		get(s, "GET", "/history.json", "")
		step(often, 0, 0)
	}
	if p := s.history.last(); len(p) > 361 || p[0].Time < now.Add(-time.Hour).Unix() {
		t.Errorf("%d points from %d, now %d", len(p), p[0].Time, now.Unix())
	}
}

// No command passes a relay, whatever the request looks like.
func TestRelay(t *testing.T) {
	for request, passed := range map[string]string{
		"status\n": "status", "status json\n": "status json", "status  prometheus tunnels\n": "status prometheus tunnels",
		"kick 100\n": "", "drain\n": "", "drain off\n": "", "reload\n": "", "upgrade\n": "", "status json kick\n": "", "status\rkick 100\n": "",
		"\n": "", "status\x00json\n": "", "STATUS\n": "", "status json\nkick 100\n": "status json",
	} {
		b := &broker{status: "{}"}
		var out bytes.Buffer
		if err := Relay(strings.NewReader(request), &out, b.ask); err != nil {
			t.Errorf("%q: %v", request, err)
		}
		if got := strings.Join(b.words, " "); got != passed || passed == "" && out.String() != "error: only status can be asked for here\n" ||
			passed != "" && !strings.HasPrefix(out.String(), "ok\n") {
			t.Errorf("%q: the broker was asked %q, and %q came back", request, got, out.String())
		}
	}
	var out bytes.Buffer
	b := &broker{err: control.ErrNoBroker}
	if err := Relay(strings.NewReader("status\n"), &out, b.ask); err != nil || !strings.HasPrefix(out.String(), "error: no broker answers there") {
		t.Errorf("%v %q", err, out.String())
	}
	for _, request := range []string{"", "status", strings.Repeat("a", 5000)} {
		if err := Relay(strings.NewReader(request), &out, b.ask); !errors.Is(err, io.EOF) {
			t.Errorf("%.20q: %v", request, err)
		}
	}
}
