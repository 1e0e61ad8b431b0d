package scripts

import (
	"strconv"
	"strings"
)

// command is one of a script, its words not yet expanded: quotes are gone, and a dollar sign that stands for itself
// is a NUL.
type command struct {
	path  string
	line  int
	text  string // the line that it stands on
	words []string
}

// split takes a script apart. What a shell would find wrong it lets pass: such a script has not run either.
func split(path, text string) (all []command) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line, at := lines[i], i+1
		for strings.HasSuffix(line, "\\") && i+1 < len(lines) {
			i++
			line = line[:len(line)-1] + " " + lines[i]
		}
		shown := strings.Join(strings.Fields(line), " ")
		for _, words := range separate(line) {
			all = append(all, command{path, at, shown, words})
		}
	}
	return all
}

// separate cuts one line into commands of words.
func separate(line string) (all [][]string) {
	var words []string
	var word strings.Builder
	quote, open, dropped := byte(0), false, false
	endWord := func() {
		if open && !dropped {
			words = append(words, word.String())
		}
		dropped = dropped && !open // the name of a file that stands apart from its arrow
		word.Reset()
		open = false
	}
	end := func() {
		endWord()
		dropped = false
		if len(words) > 0 {
			all = append(all, words)
		}
		words = nil
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		next := byte(0)
		if i+1 < len(line) {
			next = line[i+1]
		}
		switch {
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\' && c != '$' && c != '`':
			if c == '$' {
				c = 0
			}
			word.WriteByte(c)
		case c == quote && quote != 0:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, open = c, true
		case c == '\\' && next != 0:
			i++
			if next == '$' {
				next = 0
			}
			word.WriteByte(next)
			open = true
		case c == '$' && next == '(' || c == '`':
			i = substitution(line, i)
			word.WriteString(unknown)
			open = true
		case c == '$' && next == '{':
			n := strings.IndexByte(line[i:], '}')
			if n < 0 {
				n = len(line) - i - 1
			}
			word.WriteString(line[i : i+n+1])
			i += n
			open = true
		case quote != 0:
			word.WriteByte(c)
		case c == '#' && !open:
			end()
			return all
		case c == '>' || c == '<':
			if strings.Trim(word.String(), "0123456789&") == "" {
				word.Reset() // 2> and &>
				open = false
			}
			endWord()
			for i+1 < len(line) && strings.IndexByte(">&<|", line[i+1]) >= 0 {
				i++
			}
			dropped = true
		case c == '(' && next == ')' && open:
			word.WriteString("()")
			i++
			end()
		case c == ';' || c == '|' || c == '(' || c == ')' || c == '&' && next != '>':
			end()
		case c == ' ' || c == '\t' || c == '\r':
			endWord()
		case c == '{' && !open && len(words) > 0:
			end() // of "function name {"
			all = append(all, []string{"{"})
		default:
			word.WriteByte(c)
			open = true
		}
		if quote == 0 && !open && len(words) == 1 && len(all) == 0 && (words[0] == "{" || words[0] == "}") {
			end()
		}
	}
	end()
	return all
}

// substitution gives the end of one that begins at i.
func substitution(line string, i int) int {
	if line[i] == '`' {
		if n := strings.IndexByte(line[i+1:], '`'); n >= 0 {
			return i + 1 + n
		}
		return len(line) - 1
	}
	depth := 0
	for ; i < len(line); i++ {
		switch line[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(line) - 1
}

// expand gives the words that a word becomes: several for $@ and $*, none for what is empty.
func (m *machine) expand(word string, args []string) []string {
	if word == "$@" || word == "$*" || word == "${@}" || word == "${*}" {
		return args[min(1, len(args)):]
	}
	var b strings.Builder
	for i := 0; i < len(word) && b.Len() < 1000; i++ {
		if word[i] != '$' {
			if word[i] == 0 {
				b.WriteByte('$')
			} else {
				b.WriteByte(word[i])
			}
			continue
		}
		name, rest := word[i+1:], ""
		if strings.HasPrefix(name, "{") {
			name, rest, _ = strings.Cut(name[1:], "}")
		} else {
			n := 0
			for n < len(name) && isName(name[:n+1]) {
				n++
			}
			if n == 0 && name != "" {
				n = 1 // $1, $?
			}
			name, rest = name[:n], name[n:]
		}
		i = len(word) - len(rest) - 1
		b.WriteString(m.value(name, args))
	}
	if b.Len() == 0 {
		return nil
	}
	return []string{b.String()}
}

// value is that of a variable or argument, with what stands for it where it is not set.
func (m *machine) value(name string, args []string) string {
	name, instead, has := strings.Cut(name, ":-")
	if n, err := strconv.Atoi(name); err == nil {
		if n >= 0 && n < len(args) {
			return args[n]
		}
	} else if v, ok := m.variables[name]; ok {
		return v
	}
	if has && !strings.ContainsAny(instead, "$`") {
		return instead
	}
	return unknown
}
