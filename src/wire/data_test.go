package wire

import "testing"

func TestParseData(t *testing.T) {
	frame := []byte{0, 3, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xff}
	for _, c := range []struct {
		name    string
		packet  []byte
		session uint32
		ok      bool
	}{
		{"a frame", frame, 0x102, true},
		{"no frame in it", frame[:DataSize], 0x102, true},
		{"too short", frame[:DataSize-1], 0, false},
		{"L2TPv2", append([]byte{0, 2}, frame[2:]...), 0, false},
		{"with a flag", append([]byte{0x40, 3}, frame[2:]...), 0, false},
		{"a message", AppendKeepalive(nil, 1), 0, false},
		{"nothing", nil, 0, false},
	} {
		if session, ok := ParseData(c.packet); session != c.session || ok != c.ok {
			t.Errorf("%s: got %#x, %v, want %#x, %v", c.name, session, ok, c.session, c.ok)
		}
	}
}
