package live

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

var errForm = errors.New("the broker's status can't be understood")

// scanner goes through JSON and tells each value that is no object or list, with its name and that of the list that it is in.
// It is made for what package status writes; encoding/json would double what the program takes of a router's flash.
type scanner struct {
	text  []byte
	value func(list, name string, v []byte)
	begin func(list string) // an object in a list
	depth int
}

const deepest = 16

func (s *scanner) skip() byte {
	for len(s.text) > 0 {
		if c := s.text[0]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		s.text = s.text[1:]
	}
	return 0
}

// any takes in one value.
func (s *scanner) any(list, name string) error {
	switch s.skip() {
	case '{':
		if name != "" { // within another object, which may have the same names
			list += "/" + name
		}
		return s.object(list)
	case '[':
		return s.list(name)
	case 0:
		return errForm
	case '"':
		v, err := s.string()
		if err == nil {
			s.value(list, name, v)
		}
		return err
	}
	n := 0
	for n < len(s.text) && s.text[n] != ',' && s.text[n] != '}' && s.text[n] != ']' && s.text[n] > ' ' {
		n++
	}
	if n == 0 {
		return errForm
	}
	s.value(list, name, s.text[:n])
	s.text = s.text[n:]
	return nil
}

func (s *scanner) object(list string) error {
	return s.items('}', func() error {
		name, err := s.string()
		if err == nil && s.skip() != ':' {
			err = errForm
		}
		if err != nil {
			return err
		}
		s.text = s.text[1:]
		return s.any(list, string(name))
	})
}

func (s *scanner) list(name string) error {
	return s.items(']', func() error {
		if s.skip() == '{' {
			s.begin(name)
		}
		return s.any(name, "")
	})
}

// items takes in what is between brackets.
func (s *scanner) items(end byte, item func() error) error {
	if s.depth++; s.depth > deepest {
		return errForm
	}
	s.text = s.text[1:]
	for first := true; ; first = false {
		switch c := s.skip(); {
		case c == end:
			s.text = s.text[1:]
			s.depth--
			return nil
		case c == ',' && !first:
			s.text = s.text[1:]
			s.skip()
		case !first:
			return errForm
		}
		if err := item(); err != nil {
			return err
		}
	}
}

// string takes in a string and returns what it stands for.
func (s *scanner) string() ([]byte, error) {
	if s.skip() != '"' {
		return nil, errForm
	}
	var v []byte
	for i := 1; i < len(s.text); i++ {
		switch c := s.text[i]; c {
		case '"':
			s.text = s.text[i+1:]
			return v, nil
		case '\\':
			if i++; i == len(s.text) {
				return nil, errForm
			}
			if s.text[i] != 'u' {
				v = append(v, s.text[i])
				break
			}
			if i+4 >= len(s.text) {
				return nil, errForm
			}
			r, err := strconv.ParseUint(string(s.text[i+1:i+5]), 16, 16)
			if err != nil {
				return nil, errForm
			}
			v = utf8.AppendRune(v, rune(r))
			i += 4
		default:
			v = append(v, c)
		}
	}
	return nil, errForm
}
