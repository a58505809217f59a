package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/spineldb/warden/cmd/spineldb/wording"
)

// document is a parsed TOML file: the values, and the line on which each key
// stands. The decoder tells values well but forgets lines; the syntax tree
// has the lines. Paths join both: "masters.0.quorum".
type document struct {
	file     string
	values   map[string]any // nil when the text cannot be parsed
	lines    map[string]int
	broken   map[int]bool // lines replaced because their syntax was wrong
	mistakes Mistakes
}

// maxSyntaxMistakes bounds how often the parser is asked to go on after a
// syntax error.
const maxSyntaxMistakes = 20

// keyLine is a line that sets one key. Such a line can be set aside when it is
// wrong, without misunderstanding the lines after it.
var keyLine = regexp.MustCompile(`^\s*([A-Za-z0-9_-]+)\s*=\s*(.*?)\s*$`)

// parseDocument reads TOML. Mistakes of syntax are noted line by line, so that
// a reader learns of all of them in one go and of the other mistakes too.
func parseDocument(file string, data []byte) *document {
	d := &document{file: file, lines: map[string]int{}, broken: map[int]bool{}}
	lines := bytes.Split(bytes.TrimPrefix(data, []byte("\ufeff")), []byte("\n"))
	for range maxSyntaxMistakes {
		text := bytes.Join(lines, []byte("\n"))
		var values map[string]any
		err := toml.Unmarshal(text, &values)
		if err == nil {
			d.values = values
			d.locate(text)
			return d
		}
		if !d.setAside(lines, err) {
			return d
		}
	}
	return d
}

// setAside notes a syntax error and replaces the line it is on, if that can be
// done safely. It reports whether parsing again is worth while.
func (d *document) setAside(lines [][]byte, err error) bool {
	var wrong *toml.DecodeError
	if !errors.As(err, &wrong) {
		d.mistakes = append(d.mistakes, Mistake{File: d.file, Text: "not valid TOML: " + wording.Shown(err.Error())})
		return false
	}
	row, _ := wrong.Position()
	if row < 1 || row > len(lines) || d.broken[row] {
		return d.giveUp(row)
	}
	line := string(lines[row-1])
	m := keyLine.FindStringSubmatch(line)
	d.mistakes = append(d.mistakes, Mistake{File: d.file, Line: row, Text: syntaxText(line, m, wrong)})
	d.broken[row] = true
	if m == nil {
		return false
	}
	d.mistakes[len(d.mistakes)-1].Key = m[1]
	lines[row-1] = nil
	if !strings.Contains(wrong.Error(), "already") {
		// The key stays, so that nobody is told it is missing.
		lines[row-1] = []byte(m[1] + ` = ""`)
	}
	return true
}

// giveUp ends the reading of a text whose remainder cannot be understood.
func (d *document) giveUp(row int) bool {
	if len(d.mistakes) == 0 {
		d.mistakes = append(d.mistakes, Mistake{File: d.file, Line: max(row, 0), Text: "not valid TOML"})
	}
	return false
}

var unquotedDuration = regexp.MustCompile(`^([0-9.]+(ns|us|ms|s|m|h|d)[a-z]*)+\s*(#.*)?$`)

// syntaxText words a syntax error. The library's own words may quote the
// text, so they are not used where a secret may stand.
func syntaxText(line string, m []string, wrong *toml.DecodeError) string {
	switch {
	case m != nil && slices.Contains(secretKeys(), m[1]):
		return `not valid TOML: put the value in quotes, and write " and \ inside it as \" and \\`
	case m != nil && unquotedDuration.MatchString(m[2]):
		value, _, _ := strings.Cut(m[2], "#")
		return fmt.Sprintf("write durations in quotes: %q", strings.TrimSpace(value))
	case m != nil || strings.HasPrefix(strings.TrimSpace(line), "["):
		return "not valid TOML: " + wording.Shown(strings.TrimPrefix(wrong.Error(), "toml: ")) + hint(m)
	}
	return `not valid TOML: write key = value, [[masters]], or start a remark with #`
}

// hint is the usual remedy for a wrong value.
func hint(m []string) string {
	if m == nil || m[2] == "" || strings.ContainsAny(m[2][:1], `"'[{`) {
		return ""
	}
	if _, err := strconv.Atoi(m[2]); err == nil {
		return ""
	}
	return ": text goes in quotes"
}

// locate fills in the line of every key.
func (d *document) locate(text []byte) {
	var p unstable.Parser
	p.Reset(text)
	table := ""
	count := map[string]int{} // members so far of each array of tables
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table:
			path, line := keyPath(&p, e.Key(), count)
			table = path
			d.setLine(path, line)
		case unstable.ArrayTable:
			path, line := keyPath(&p, e.Key(), count)
			table = path + "." + strconv.Itoa(count[path])
			count[path]++
			d.setLine(path, line)
			d.setLine(table, line)
		case unstable.KeyValue:
			d.locateKey(&p, e, table)
		}
	}
}

// locateKey notes the line of one key and of what is inside its value.
func (d *document) locateKey(p *unstable.Parser, e *unstable.Node, table string) {
	path, line := keyPath(p, e.Key(), nil)
	path = under(table, path)
	// Of a dotted key the parts are on that line too.
	for part := path; len(part) > len(table); part = part[:max(strings.LastIndexByte(part, '.'), 0)] {
		d.setLine(part, line)
	}
	d.locateValue(p, e.Value(), path, line)
}

func (d *document) locateValue(p *unstable.Parser, v *unstable.Node, path string, line int) {
	d.setLine(path, line)
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			d.locateKey(p, it.Node(), path)
		}
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); {
			n := it.Node()
			if n.Kind == unstable.Comment {
				continue
			}
			if n.Raw.Length > 0 {
				line = p.Shape(n.Raw).Start.Line
			}
			d.locateValue(p, n, under(path, strconv.Itoa(i)), line)
			i++
		}
	}
}

// keyPath joins a dotted key. Where a part names an array of tables, the table
// begun last is meant.
func keyPath(p *unstable.Parser, it unstable.Iterator, count map[string]int) (string, int) {
	path, line := "", 0
	for it.Next() {
		n := it.Node()
		if line == 0 && n.Raw.Length > 0 {
			line = p.Shape(n.Raw).Start.Line
		}
		if k := count[path]; k > 0 {
			path = under(path, strconv.Itoa(k-1))
		}
		path = under(path, string(n.Data))
	}
	return path, line
}

func under(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// setLine keeps the first line a path is seen on.
func (d *document) setLine(path string, line int) {
	if _, seen := d.lines[path]; !seen {
		d.lines[path] = line
	}
}

// lineOf is the line of a path, or of the nearest thing around it.
func (d *document) lineOf(path string) int {
	for {
		if line, ok := d.lines[path]; ok {
			return line
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
}
