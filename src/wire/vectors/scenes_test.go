package vectors

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"tunneldigger/src/wire"
)

var about = []string{
	"Test vectors of the Tunneldigger protocol, as files/doc/protocol.md specifies it.",
	"messages: a sender makes hex from fields, a receiver makes fields from hex. Fields that are left out are 0, tunnel_id 1.",
	"understood: nobody sends these, receivers understand them. malformed: receivers drop these without an answer.",
	"size: zeros follow hex until the UDP payload has so many bytes.",
	"conversations: a client and a broker over IPv4. No time passes under way; at is in seconds since the client began. Whoever",
	"plays one side hears what the other says, unless it is lost, and says what is written.",
	"Free to choose are: the cookie, which is the broker's; sequence numbers; tunnel IDs; the broker's first keepalive (3 to 15",
	"seconds after TUNNEL, here 3) and first probes (here 1 second after TUNNEL); the order of probes.",
}

// kind is the fields of one message.
type kind map[string]any

func n(v string) json.Number { return json.Number(v) }

// messages has every type in every form in which it is sent.
func messages(t *testing.T) (all []Datagram) {
	t.Helper()
	for _, m := range []struct {
		name, from, typ string
		fields          kind
	}{
		{"a cookie is asked for", "client", "COOKIE", kind{}},
		{"a cookie", "broker", "COOKIE", kind{"cookie": "0102030405060708"}},
		{"a tunnel is asked for", "client", "PREPARE", kind{"cookie": "0102030405060708", "uuid": "abc", "tunnel_id": n("287454020"), "features": n("1")}},
		{"by a client from before feature flags", "client", "PREPARE", kind{"cookie": "0102030405060708", "uuid": "abc", "tunnel_id": n("1")}},
		{"by a client from before tunnel IDs", "client", "PREPARE", kind{"cookie": "0102030405060708", "uuid": "abc"}},
		{"a client is refused", "broker", "ERROR", kind{}},
		{"the broker shuts down", "broker", "ERROR", kind{"reason": n("2")}},
		{"the broker heard nothing for too long", "broker", "ERROR", kind{"reason": n("3")}},
		{"the client shuts down", "client", "ERROR", kind{"reason": n("17")}},
		{"a tunnel", "broker", "TUNNEL", kind{"tunnel_id": n("16909060"), "features": n("1")}},
		{"a tunnel for a client that offered no features", "broker", "TUNNEL", kind{"tunnel_id": n("16909060")}},
		{"a sign of life", "broker", "KEEPALIVE", kind{"sequence": n("258")}},
		{"a sign of life", "client", "KEEPALIVE", kind{"sequence": n("16909060")}},
		{"a probe", "broker", "PMTUD", kind{"size": n("1472")}},
		{"a probe arrived", "client", "PMTUD_ACK", kind{"size": n("1472")}},
		{"a message arrived", "broker", "REL_ACK", kind{"sequence": n("65534")}},
		{"a tunnel MTU", "broker", "PMTU_NTFY", kind{"mtu": n("1446")}},
		{"the load is asked for", "client", "USAGE", kind{"features": n("1")}},
		{"by a client from before feature flags", "client", "USAGE", kind{}},
		{"the load: full", "broker", "USAGE", kind{"load": n("65535")}},
		{"a bandwidth is asked for", "client", "LIMIT", kind{"sequence": n("7"), "kbit": n("2000")}},
		{"a frame", "client", Data, kind{"session_id": n("100"), "frame": "ffffffffffff02000000000a0800"}},
	} {
		b, err := Build(m.from, m.typ, m.fields)
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		d := datagram(t, m.from, b)
		d.Name = m.name
		all = append(all, d)
	}
	return all
}

var understood = []Datagram{
	{"no padding", "broker", "ERROR", kind{}, "8073a7010300", 0},
	{"padding is not looked at", "broker", "ERROR", kind{"reason": n("2")}, "8073a701030102ffffffffff", 0},
	{"a field that is not invented yet", "client", "PREPARE", kind{"cookie": "0102030405060708", "uuid": "abc", "tunnel_id": n("7"), "features": n("1")}, "8073a7010215010203040506070803616263000000070000000199", 0},
	{"features that are not invented yet", "client", "PREPARE", kind{"cookie": "0102030405060708", "uuid": "abc", "tunnel_id": n("7"), "features": n("2147483651")}, "8073a701021401020304050607080361626300000007" + "80000003", 0},
	{"more padding in a request", "client", "COOKIE", kind{}, "8073a7010110" + "00000000000000000000000000000000", 0},
	{"a longer keepalive", "client", "KEEPALIVE", kind{"sequence": n("1")}, "8073a70105080000000000000001", 0},
}

var malformed = []Malformed{
	{"nothing", "client", "", "short"},
	{"half a header", "client", "8073a70101", "short"},
	{"another protocol", "client", "0001000021", "short"},
	{"another magic", "client", "8073a8010300", "magic"},
	{"another version", "client", "8073a7020300", "version"},
	{"a payload past the end", "client", "8073a70103050000", "length"},
	{"PREPARE without a UUID's length", "client", "8073a70102080102030405060708", "payload"},
	{"PREPARE with a UUID past the end", "client", "8073a701020c010203040506070804616263", "payload"},
	{"PREPARE with half a tunnel ID", "client", "8073a701020e0102030405060708036162630000", "payload"},
	{"TUNNEL with half an ID", "broker", "8073a70104020000" + "00000000", "payload"},
	{"a cookie of 7 bytes", "broker", "8073a701010701020304050607", "payload"},
	{"a load of one byte", "broker", "8073a7010a01ff0000000000", "payload"},
	{"LIMIT with a configuration past the end", "client", "8073a701800700070104000007", "payload"},
	{"LIMIT of an unknown kind", "client", "8073a70180080007" + "0204000007d0", "payload"},
}

func mtus() (all []MTU) {
	for _, path := range []int{1500, 1492, 1476, 1450, 1400, 1334} {
		for _, family := range []int{4, 6} {
			v6 := family == 6
			all = append(all, MTU{family, path, path - wire.UDPOverhead(v6), max(path-wire.TunnelOverhead(v6), wire.MinTunnelMTU)})
		}
	}
	return all
}

var uuids = []UUID{
	{"fe54-001122334455", true}, {"A{b}[c](d)!#%*+,.:=?@^_~", true}, {"", false}, {"-rf", false}, {".", false}, {"..", false}, {"a b", false},
	{"a\"b", false}, {"a'b", false}, {"a\\b", false}, {"a$b", false}, {"a`b", false}, {"a;b", false}, {"a&b", false}, {"a|b", false}, {"a<b", false},
	{"a>b", false}, {"a/b", false}, {"a\nb", false}, {"ä", false},
}

// An ARP request of the client's end of the tunnel, and the answer.
var arp = []Step{
	{At: 1, Datagram: data("client", "100", "ffffffffffff02000000000a08060001080006040001"+"02000000000a"+"cb00710a"+"000000000000"+"cb007101")},
	{At: 1, Datagram: data("broker", "7", "02000000000a02000000000108060001080006040002"+"020000000001"+"cb007101"+"02000000000a"+"cb00710a")},
}

func data(from, session, frame string) Datagram {
	b, err := Build(from, Data, kind{"session_id": n(session), "frame": frame})
	if err != nil {
		panic(err)
	}
	name, fields, err := Describe(from, b)
	if err != nil {
		panic(err)
	}
	return Datagram{From: from, Type: name, Fields: fields, Hex: hex.EncodeToString(b)}
}

// conversations are had anew by the two sides.
func conversations(t *testing.T) (all []Conversation) {
	t.Helper()
	today := Client{UUID: "alice", TunnelID: 7, Features: 1}
	fixed := Broker{PMTU: 1400}
	for _, s := range []scene{
		{Conversation: Conversation{Name: "set-up, frames, end", About: "A client of today, which asks for a bandwidth, and a broker with a fixed MTU; frames pass; the client ends it.",
			Client: Client{UUID: "alice", TunnelID: 7, Features: 1, Kbit: 2000, Stops: 11}, Broker: fixed}, end: 11, data: arp},
		{Conversation: Conversation{Name: "a client from before feature flags", About: "Both sides use session ID 1. The client offers no features, and so TUNNEL has none.",
			Client: Client{UUID: "bob", TunnelID: 7}, Broker: fixed}, end: 0},
		{Conversation: Conversation{Name: "a client from before tunnel IDs", About: "Its tunnel ID is 1.",
			Client: Client{UUID: "carol"}, Broker: fixed}, end: 0},
		{Conversation: Conversation{Name: "TUNNEL is lost", About: "The client repeats PREPARE. The answer is the same to the last byte, features included.",
			Client: today, Broker: fixed}, end: 2, lose: func(at float64, d Datagram) bool { return at == 0 && (d.Type == "TUNNEL" || d.Type == "PMTU_NTFY") }},
		{Conversation: Conversation{Name: "answers are lost", About: "The client repeats USAGE, with COOKIE beside it, and then COOKIE.",
			Client: today, Broker: fixed}, end: 4, lose: func(at float64, d Datagram) bool {
			return d.From == "broker" && at < 4 && d.Type != "USAGE" || d.From == "broker" && at < 2
		}},
		{Conversation: Conversation{Name: "refused", About: "The UUID has a blank, which a broker refuses, by an ERROR without a reason.",
			Client: Client{UUID: "a b", TunnelID: 7, Features: 1}, Broker: fixed}, end: 0},
		{Conversation: Conversation{Name: "the broker ends", About: "Both say why.",
			Client: today, Broker: Broker{PMTU: 1400, Stops: 4}}, end: 4},
		{Conversation: Conversation{Name: "the broker measures a path of 1500", About: "All probes are acknowledged; the broker tells the tunnel MTU.",
			Client: today}, end: 4},
		{Conversation: Conversation{Name: "the broker measures a path of 1400", About: "Larger probes are lost. What is not acknowledged is sent again, once a second, five times in all.",
			Client: today}, end: 7, lose: func(_ float64, d Datagram) bool { return d.Size > 1400-28 }},
		{Conversation: Conversation{Name: "the client measures, too", About: "It begins after 15 seconds, sends all sizes five times, and then tells its result.",
			Client: Client{UUID: "alice", TunnelID: 7, Features: 1, Probes: true}}, end: 20},
		{Conversation: Conversation{Name: "the client probes a broker with a fixed MTU", About: "PMTU_NTFY is the answer to each probe that arrives.",
			Client: Client{UUID: "alice", TunnelID: 7, Features: 1, Probes: true}, Broker: fixed}, end: 15},
		{Conversation: Conversation{Name: "the broker forgets", About: "Another one takes its place, which does not know the tunnel and says so. The client sets up a new one at once.",
			Client: today, Broker: Broker{PMTU: 1400, Forgets: 16}}, end: 22},
		{Conversation: Conversation{Name: "the client falls silent", About: "After 60 seconds without a message the broker ends the tunnel.",
			Client: today, Broker: fixed}, end: 61, lose: func(at float64, d Datagram) bool { return at > 0 && d.From == "client" }},
	} {
		all = append(all, converse(t, s))
	}
	return all
}
