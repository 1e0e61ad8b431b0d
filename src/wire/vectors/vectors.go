// Package vectors has the protocol's test vectors, src/wire/testdata/vectors.json, as Go values. It is for tests: of the
// packages that speak the protocol, which all pass the same file, and of the dissector. files/doc/protocol.md says what the
// file's fields mean to another implementer.
package vectors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// File is the whole of vectors.json.
type File struct {
	// About says in words what the file is.
	About []string `json:"about"`
	// Messages are datagrams as they are sent: fields make bytes, bytes make fields.
	Messages []Datagram `json:"messages"`
	// Understood are datagrams that nobody sends and every receiver has to understand.
	Understood []Datagram `json:"understood"`
	// Malformed are datagrams that are dropped without an answer.
	Malformed []Malformed `json:"malformed"`
	// MTUs is the arithmetic of path MTUs.
	MTUs []MTU `json:"mtus"`
	// UUIDs are acceptable or not.
	UUIDs []UUID `json:"uuids"`
	// Conversations are all that a client and a broker say to each other, in order.
	Conversations []Conversation `json:"conversations"`
}

// Datagram is the payload of one UDP datagram, as bytes and as fields.
type Datagram struct {
	Name string `json:"name,omitempty"`
	// From is "client" or "broker": some types have other fields in the two directions.
	From string `json:"from"`
	// Type is the message's name, or "data" for a frame in L2TPv3.
	Type string `json:"type"`
	// Fields are the payload's, numbers as json.Number and the rest as text.
	Fields map[string]any `json:"fields"`
	Hex    string         `json:"hex"`
	// Size is how long zeros after Hex make the datagram, in bytes; 0: no longer than Hex.
	Size int `json:"size,omitempty"`
}

// Bytes is the datagram. It panics where Hex is none, which the test of this package rules out.
func (d *Datagram) Bytes() []byte {
	b, err := hex.DecodeString(d.Hex)
	if err != nil {
		panic(err)
	}
	return append(b, make([]byte, max(0, d.Size-len(b)))...)
}

// Malformed is a datagram with a fault: "short", "magic", "version", "length" or "payload".
type Malformed struct {
	Name  string `json:"name"`
	From  string `json:"from"`
	Hex   string `json:"hex"`
	Fault string `json:"fault"`
}

// MTU is one path, in bytes.
type MTU struct {
	Family  int `json:"family"` // 4 or 6
	Path    int `json:"path"`
	Payload int `json:"udp_payload"`
	Tunnel  int `json:"tunnel_mtu"`
}

// UUID is a name that a client gives itself, and whether a broker takes it.
type UUID struct {
	UUID  string `json:"uuid"`
	Valid bool   `json:"valid"`
}

// Conversation is what one client and one broker say to each other over IPv4. No time passes under way.
type Conversation struct {
	Name   string `json:"name"`
	About  string `json:"about"`
	Client Client `json:"client"`
	Broker Broker `json:"broker"`
	Steps  []Step `json:"steps"`
}

// Client is how the client of a conversation is set up.
type Client struct {
	UUID string `json:"uuid"`
	// TunnelID is left out of PREPARE where it is 0, and then Features as well.
	TunnelID uint32 `json:"tunnel_id,omitempty"`
	Features uint32 `json:"features,omitempty"`
	// Kbit is the bandwidth that it asks for, 0: it does not ask.
	Kbit uint32 `json:"kbit,omitempty"`
	// Probes says that it measures the path.
	Probes bool `json:"probes,omitempty"`
	// Stops is when it ends the tunnel, in seconds; 0: it does not.
	Stops float64 `json:"stops,omitempty"`
}

// Broker is how the broker of a conversation is set up. Its first tunnel has the ID 100.
type Broker struct {
	// PMTU is the fixed tunnel MTU, 0: it measures the path.
	PMTU int `json:"pmtu,omitempty"`
	// Stops is when it ends, in seconds; 0: it does not.
	Stops float64 `json:"stops,omitempty"`
	// Forgets is when another broker takes its place that knows nothing of it, in seconds; 0: none does.
	Forgets float64 `json:"forgets,omitempty"`
}

// Step is one datagram of a conversation.
type Step struct {
	// At is when it is sent, in seconds since the client began.
	At float64 `json:"at"`
	Datagram
	// Lost says that it never arrives.
	Lost bool `json:"lost,omitempty"`
}

// Time is At as tests' clocks have it.
func (s *Step) Time() time.Duration { return Seconds(s.At) }

// Seconds is a time of the file as tests' clocks have it, to the millisecond.
func Seconds(at float64) time.Duration {
	return time.Duration(at*1000+0.5) * time.Millisecond
}

// Load reads the file.
func Load(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := new(File)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}
