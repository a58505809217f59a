package warden

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// fill sets every field of a value to something that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	default:
		change(v)
	}
}

// bodies are messages with one body each, everything in them filled.
func bodies(t *testing.T) []Message {
	var out []Message
	kind := reflect.TypeFor[Message]()
	for i := range kind.NumField() {
		if kind.Field(i).Type.Kind() != reflect.Pointer {
			continue
		}
		m := Message{Group: "g", From: "w1", Run: 3, Birth: "b"}
		fill(reflect.ValueOf(&m).Elem().Field(i))
		out = append(out, m)
	}
	if len(out) < 8 {
		t.Fatalf("only %d kinds of messages were found", len(out))
	}
	return out
}

// TestMessageRoundTrip: what is sent is what arrives, and fields that a later
// release adds are ignored by this one.
func TestMessageRoundTrip(t *testing.T) {
	for _, m := range bodies(t) {
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var got Message
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s came back as %+v, %v", text, got, err)
		}
		later := strings.ReplaceAll(string(text), "{", `{"added_later":{"deep":[1,null]},`)
		got = Message{}
		if err := json.Unmarshal([]byte(later), &got); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("with unknown fields %s came back as %+v, %v", later, got, err)
		}
		if strings.Contains(string(text), `"Version"`) {
			t.Errorf("%s: epoch and step are not told under their own names", text)
		}
	}
}

// Every body has a name of its own in logs.
func TestKind(t *testing.T) {
	seen := map[string]bool{"empty": true}
	for _, m := range bodies(t) {
		if k := m.Kind(); seen[k] {
			t.Errorf("the kind %q of %+v is not its own", k, m)
		} else {
			seen[k] = true
		}
	}
	if (Message{}).Kind() != "empty" {
		t.Error("a message without a body has a kind")
	}
}

// A register on disk comes back whole, also from a file with more in it.
func TestRegisterRoundTrip(t *testing.T) {
	var r, got Register
	fill(reflect.ValueOf(&r).Elem())
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.ReplaceAll(string(text), "{", `{"added_later":1,`))
	if err := json.Unmarshal(text, &got); err != nil || !got.Equal(r) || !reflect.DeepEqual(got, r) {
		t.Errorf("came back as %+v, %v", got, err)
	}
}
