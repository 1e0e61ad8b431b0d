package nl

import "golang.org/x/sys/unix"

const (
	headerLen    = unix.NLMSG_HDRLEN
	attributeLen = unix.NLA_HDRLEN
	longest      = 1<<16 - 1 // an attribute's length field has 16 bits
)

// Message builds one netlink request in a buffer that Begin empties and uses again. The zero value is not usable; see
// NewMessage and Conn.Request. An attribute that does not fit its length field is left out and reported by Err.
type Message struct {
	op    string
	order Order
	b     []byte
	err   error
}

// NewMessage returns a message in the given byte order. Only tests want another one than Host.
func NewMessage(order Order) *Message { return &Message{order: order, b: make([]byte, 0, 1024)} }

// Begin drops what the message held and starts a request of the given type (RTM_*, or a generic-netlink family) with the
// given NLM_F_* flags. The operation names the request in errors; it should be a constant, so that it costs nothing.
func (m *Message) Begin(op string, kind, flags uint16) {
	m.op, m.err = op, nil
	m.b = append(m.b[:0], 0, 0, 0, 0) // length, written by Bytes
	m.b = m.order.AppendUint16(m.b, kind)
	m.b = m.order.AppendUint16(m.b, flags)
	m.b = append(m.b, 0, 0, 0, 0, 0, 0, 0, 0) // sequence and port, written by Conn
}

// Bytes returns the finished message. It belongs to the message and is valid until the next Begin.
func (m *Message) Bytes() []byte {
	m.order.PutUint32(m.b, uint32(len(m.b)))
	return m.b
}

// Err is the first attribute's error, or nil.
func (m *Message) Err() error { return m.err }

// Order is the message's byte order, for fixed headers that the caller lays out.
func (m *Message) Order() Order { return m.order }

// Raw appends a fixed header (ifinfomsg, tcmsg …) or other bytes as they are, padded to the next attribute.
func (m *Message) Raw(b ...byte) {
	m.b = append(m.b, b...)
	m.pad()
}

// Raw32 appends a 32-bit member of a fixed header.
func (m *Message) Raw32(v uint32) { m.b = m.order.AppendUint32(m.b, v) }

// U8 appends an attribute with an 8-bit value.
func (m *Message) U8(kind uint16, v uint8) {
	m.head(kind, 1)
	m.b = append(m.b, v, 0, 0, 0)
}

// U16 appends an attribute with a 16-bit value.
func (m *Message) U16(kind uint16, v uint16) {
	m.head(kind, 2)
	m.b = append(m.order.AppendUint16(m.b, v), 0, 0)
}

// U32 appends an attribute with a 32-bit value.
func (m *Message) U32(kind uint16, v uint32) {
	m.head(kind, 4)
	m.b = m.order.AppendUint32(m.b, v)
}

// U64 appends an attribute with a 64-bit value.
func (m *Message) U64(kind uint16, v uint64) {
	m.head(kind, 8)
	m.b = m.order.AppendUint64(m.b, v)
}

// String appends an attribute with a text and the zero byte that the kernel wants after it.
func (m *Message) String(kind uint16, s string) {
	if !m.fits(len(s) + 1) {
		return
	}
	m.head(kind, len(s)+1)
	m.b = append(append(m.b, s...), 0)
	m.pad()
}

// Data appends an attribute with the bytes as they are.
func (m *Message) Data(kind uint16, b []byte) {
	if !m.fits(len(b)) {
		return
	}
	m.head(kind, len(b))
	m.b = append(m.b, b...)
	m.pad()
}

// Nest starts an attribute that holds the attributes appended until End, which takes the mark that Nest returns. The kind is
// written as it is: the newer users want unix.NLA_F_NESTED in it.
func (m *Message) Nest(kind uint16) (mark int) {
	mark = len(m.b)
	m.head(kind, 0)
	return mark
}

// End closes the attribute that Nest started.
func (m *Message) End(mark int) {
	if m.fits(len(m.b) - mark - attributeLen) {
		m.order.PutUint16(m.b[mark:], uint16(len(m.b)-mark))
	}
}

func (m *Message) head(kind uint16, length int) {
	m.b = m.order.AppendUint16(m.b, uint16(attributeLen+length))
	m.b = m.order.AppendUint16(m.b, kind)
}

func (m *Message) fits(length int) bool {
	if length > longest-attributeLen {
		if m.err == nil {
			m.err = &Error{Op: m.op, Errno: unix.EMSGSIZE, Text: "attribute too long"}
		}
		return false
	}
	return true
}

func (m *Message) pad() {
	for len(m.b)%align != 0 {
		m.b = append(m.b, 0)
	}
}
