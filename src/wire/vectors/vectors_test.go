package vectors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/wire"
)

const path = "../testdata/vectors.json"

var update = flag.Bool("update", false, "write "+path+" anew, from what package client and package broker say to each other")

// TestFile holds the file to what is written here and to what the two sides say to each other.
func TestFile(t *testing.T) {
	want := format(t, &File{About: about, Messages: messages(t), Understood: understood, Malformed: malformed, MTUs: mtus(), UUIDs: uuids, Conversations: conversations(t)})
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the two sides say now; if that is meant, run: go test ./src/wire/vectors -update", path)
	}
	if f, err := Load(path); err != nil || len(f.Messages) < 15 || len(f.Conversations) < 8 {
		t.Errorf("%v: %+v", err, f)
	}
}

// format writes one vector a line, so that people can read it, too.
func format(t *testing.T, f *File) []byte {
	t.Helper()
	var b bytes.Buffer
	compact := func(v any) string {
		var line bytes.Buffer
		encoder := json.NewEncoder(&line)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line.String())
	}
	list := func(indent, name string, n int, item func(i int) string) {
		b.WriteString(indent + compact(name) + ": [\n")
		for i := range n {
			comma := ","
			if i == n-1 {
				comma = ""
			}
			b.WriteString(indent + " " + item(i) + comma + "\n")
		}
		b.WriteString(indent + "]")
	}
	b.WriteString("{\n")
	list("", "about", len(f.About), func(i int) string { return compact(f.About[i]) })
	b.WriteString(",\n")
	list("", "messages", len(f.Messages), func(i int) string { return compact(f.Messages[i]) })
	b.WriteString(",\n")
	list("", "understood", len(f.Understood), func(i int) string { return compact(f.Understood[i]) })
	b.WriteString(",\n")
	list("", "malformed", len(f.Malformed), func(i int) string { return compact(f.Malformed[i]) })
	b.WriteString(",\n")
	list("", "mtus", len(f.MTUs), func(i int) string { return compact(f.MTUs[i]) })
	b.WriteString(",\n")
	list("", "uuids", len(f.UUIDs), func(i int) string { return compact(f.UUIDs[i]) })
	b.WriteString(",\n\"conversations\": [\n")
	for i, c := range f.Conversations {
		b.WriteString("{\"name\": " + compact(c.Name) + ",\n \"about\": " + compact(c.About) + ",\n \"client\": " + compact(c.Client) + ", \"broker\": " + compact(c.Broker) + ",\n")
		list(" ", "steps", len(c.Steps), func(i int) string { return compact(c.Steps[i]) })
		b.WriteString("}")
		if i < len(f.Conversations)-1 {
			b.WriteString(",")
		}
		b.WriteString("\n")
	}
	b.WriteString("]\n}\n")
	return b.Bytes()
}

// datagram is a vector of what was sent; a probe's zeros are only counted.
func datagram(t *testing.T, from string, b []byte) Datagram {
	t.Helper()
	name, fields, err := Describe(from, b)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	d := Datagram{From: from, Type: name, Fields: fields, Hex: hex.EncodeToString(b)}
	if len(b) > 400 {
		d.Hex, d.Size = hex.EncodeToString(b[:wire.HeaderSize]), len(b)
	}
	return d
}

// scene is a conversation that is still to be had.
type scene struct {
	Conversation
	end  float64                           // seconds
	lose func(at float64, d Datagram) bool // which datagrams do not arrive
	data []Step                            // frames, which only kernels see
}

// converse has the two sides talk until the end.
func converse(t *testing.T, s scene) Conversation {
	t.Helper()
	c := s.Conversation
	c.Steps = nil
	sides := map[string]side{"client": newClientSide(&c), "broker": newBrokerSide(&c)}
	other := map[string]string{"client": "broker", "broker": "client"}
	data := s.data
	// deliver has everything arrive that was said at now, and what is said about it.
	deliver := func(now time.Duration, from string) {
		for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
			for _, b := range sides[queue[0]].said() {
				step := Step{At: now.Seconds(), Datagram: datagram(t, queue[0], b)}
				if step.Lost = s.lose != nil && s.lose(step.At, step.Datagram); !step.Lost {
					sides[other[queue[0]]].receive(now, b)
					queue = append(queue, other[queue[0]])
				}
				c.Steps = append(c.Steps, step)
			}
		}
	}
	for {
		next, from := time.Duration(-1), ""
		for _, who := range []string{"client", "broker"} {
			if due := sides[who].due(); due >= 0 && (next < 0 || due < next) {
				next, from = due, who
			}
		}
		for len(data) > 0 && (next < 0 || data[0].Time() < next) {
			c.Steps, data = append(c.Steps, data[0]), data[1:]
		}
		if next < 0 || next > Seconds(s.end) {
			return c
		}
		sides[from].tick(next)
		deliver(next, from)
	}
}

// TestPlay takes parts in conversations that are not as they are written: each is noticed.
func TestPlay(t *testing.T) {
	for _, who := range []string{"client", "broker"} {
		playOne := PlayClient
		if who == "broker" {
			playOne = PlayBroker
		}
		for name, spoil := range map[string]func(steps []Step, i int) []Step{
			"another byte": func(steps []Step, i int) []Step {
				steps[i].Hex = steps[i].Hex[:8] + "ff" + steps[i].Hex[10:]
				return steps
			},
			"another time":     func(steps []Step, i int) []Step { steps[i].At += 0.5; return steps },
			"one more":         func(steps []Step, i int) []Step { return append(steps, steps[i]) },
			"one is not there": func(steps []Step, i int) []Step { return append(steps[:i:i], steps[i+1:]...) },
		} {
			f, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			c := f.Conversations[0]
			first := 0
			for c.Steps[first].From != who {
				first++
			}
			if err := playOne(&c); err != nil {
				t.Errorf("%s: %v", who, err)
			}
			if c.Steps = spoil(c.Steps, first); playOne(&c) == nil {
				t.Errorf("%s: %s was not noticed", who, name)
			}
		}
	}
}
