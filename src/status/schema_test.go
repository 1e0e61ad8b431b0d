package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// schema checks values against as much of JSON Schema as the committed file
// uses, and refuses a schema that uses more.
type schema struct{ root map[string]any }

func loadSchema(t *testing.T) *schema {
	t.Helper()
	text, err := os.ReadFile("testdata/status.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &schema{}
	if err := json.Unmarshal(text, &s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *schema) check(rule map[string]any, v any, at string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, at+": "+fmt.Sprintf(format, args...)) }
	for word, want := range rule {
		switch word {
		case "$schema", "title", "description", "$defs", "properties", "items":
		case "$ref":
			name := strings.TrimPrefix(want.(string), "#/$defs/")
			faults = append(faults, s.check(s.root["$defs"].(map[string]any)[name].(map[string]any), v, at)...)
		case "type":
			types, several := want.([]any)
			if !several {
				types = []any{want}
			}
			if !slices.ContainsFunc(types, func(name any) bool { return isType(name.(string), v) }) {
				fault("%v is not of type %v", v, want)
			}
		case "minimum":
			if n, ok := v.(json.Number); ok {
				if f, err := n.Float64(); err != nil || f < want.(float64) {
					fault("%v is below %v", v, want)
				}
			}
		case "pattern":
			if text, ok := v.(string); ok && !regexp.MustCompile(want.(string)).MatchString(text) {
				fault("%q does not match %s", text, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				fault("%v is none of %v", v, want)
			}
		case "required":
			object, _ := v.(map[string]any)
			for _, name := range want.([]any) {
				if _, there := object[name.(string)]; !there {
					fault("no %v", name)
				}
			}
		case "additionalProperties": // below
		default:
			fault("the schema has %q, which this test does not know", word)
		}
	}
	if list, ok := v.([]any); ok && rule["items"] != nil {
		for i, item := range list {
			faults = append(faults, s.check(rule["items"].(map[string]any), item, fmt.Sprintf("%s[%d]", at, i))...)
		}
	}
	if object, ok := v.(map[string]any); ok {
		known, _ := rule["properties"].(map[string]any)
		for name, value := range object {
			if inner, ok := known[name].(map[string]any); ok {
				faults = append(faults, s.check(inner, value, at+"."+name)...)
			} else if others, ok := rule["additionalProperties"].(map[string]any); ok {
				faults = append(faults, s.check(others, value, at+"."+name)...)
			} else if rule["additionalProperties"] == false {
				fault("%s is not in the schema", name)
			}
		}
	}
	return faults
}

func isType(name string, v any) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case json.Number:
		return name == "number" || name == "integer" && !strings.ContainsAny(v.String(), ".eE")
	case []any:
		return name == "array"
	case map[string]any:
		return name == "object"
	}
	return false
}

// decode reads one object and nothing after it, and refuses a name that comes twice.
func decode(text []byte) (v map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("something follows the object")
	}
	return v, nil
}

func TestJSONIsOfTheSchema(t *testing.T) {
	s := loadSchema(t)
	r, tunnels := fixture()
	full, err := decode(inJSON(r, tunnels))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.check(s.root, full, "status") {
		t.Error(f)
	}
	// What was escaped is what it was, but for what is no UTF-8.
	want := strings.ToValidUTF8(nasty, "\ufffd")
	if got := full["tunnels"].([]any)[2].(map[string]any)["uuid"]; got != want {
		t.Errorf("UUID %q, want %q", got, want)
	}
	if got := full["brokers"].([]any)[1].(map[string]any)["name"]; got != want {
		t.Errorf("name %q, want %q", got, want)
	}
	if got := full["tunnels"].([]any)[0].(map[string]any)["tx_bytes"]; got != json.Number("9223372036854775808") {
		t.Errorf("tx_bytes %v", got)
	}
	for _, text := range [][]byte{inJSON(r, nil), inJSON(&Report{PID: 1}, nil)} {
		empty, err := decode(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range s.check(s.root, empty, "status") {
			t.Error(f)
		}
	}
}

// Everything that the schema names is written, and the checker sees what is wrong.
func TestSchemaIsComplete(t *testing.T) {
	s := loadSchema(t)
	r, tunnels := fixture()
	full, err := decode(inJSON(r, tunnels))
	if err != nil {
		t.Fatal(err)
	}
	tunnel := full["tunnels"].([]any)[0].(map[string]any)
	for name, wrong := range map[string]any{
		"id": json.Number("-1"), "uuid": json.Number("5"), "state": "standing", "interface": "eth0", "mtu": json.Number("1446.5"), "surplus": true,
	} {
		old, there := tunnel[name]
		tunnel[name] = wrong
		if len(s.check(s.root, full, "status")) == 0 {
			t.Errorf("%s may be %v", name, wrong)
		}
		if tunnel[name] = old; !there {
			delete(tunnel, name)
		}
	}
	delete(tunnel, "id")
	if len(s.check(s.root, full, "status")) == 0 {
		t.Error("a tunnel needs no ID")
	}
	rules := s.root["$defs"].(map[string]any)["tunnel"].(map[string]any)
	if a, b := len(rules["required"].([]any)), len(rules["properties"].(map[string]any)); a != b {
		t.Errorf("%d of %d properties of a tunnel are required", a, b)
	}
}
