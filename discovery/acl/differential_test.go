package acl_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/discovery/acl"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// exchange is one request to both servers. A line "FILE text" writes the file
// of users instead, "AGAIN" connects anew.
var exchanges = []string{
	"ACL WHOAMI", "ACL USERS", "ACL LIST", "ACL GETUSER default", "ACL GETUSER nobody",
	"ACL", "ACL FOO", "ACL CAT", "ACL CAT nothing", "ACL CAT a b", "ACL CAT all", "ACL WHOAMI x", "ACL SETUSER", "ACL DELUSER",
	"ACL DRYRUN default", "ACL GETUSER", "ACL LIST x",
	"ACL GENPASS 0", "ACL GENPASS 4097", "ACL GENPASS -1", "ACL GENPASS x", "ACL GENPASS 1 2", "ACL GENPASS 01",
	"ACL SETUSER u", "ACL GETUSER u", "ACL LIST",
	"ACL SETUSER u on >secret +ping", "ACL GETUSER u", "ACL LIST", "ACL SETUSER u >secret >other", "ACL GETUSER u",
	"ACL SETUSER u <other", "ACL SETUSER u <other", "ACL SETUSER u !2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
	"ACL SETUSER u #zz", "ACL SETUSER u #2BB80D537B1DA3E38BD30361AA855686BDE0EACD7162FEF6A25FE97BF527A25B", "ACL SETUSER u !zz", "ACL LIST",
	"ACL SETUSER u nopass", "ACL SETUSER u resetpass", "ACL LIST",
	"ACL SETUSER u ~a %R~b %W~b %RW~c %w~d", "ACL LIST", "ACL GETUSER u", "ACL SETUSER u %~x", "ACL SETUSER u %Q~x",
	"ACL SETUSER u ~* ", "ACL SETUSER u ~x", "ACL SETUSER u resetkeys allkeys %R~x", "ACL SETUSER u resetkeys ~x", "ACL LIST",
	"ACL SETUSER u &a &b &a", "ACL LIST", "ACL SETUSER u allchannels &x", "ACL SETUSER u &*", "ACL SETUSER u &x", "ACL SETUSER u resetchannels &+*", "ACL LIST",
	"ACL SETUSER u +get", "ACL SETUSER u -get", "ACL SETUSER u +@nothing", "ACL SETUSER u -@nothing", "ACL SETUSER u +sentinel|x", "ACL SETUSER u -sentinel|x",
	"ACL SETUSER u +client|id|x", "ACL SETUSER u +ping|", "ACL SETUSER u +info|a", "ACL SETUSER u -info|a", "ACL SETUSER u nocommands +ping", "ACL SETUSER u +|", "ACL SETUSER u +", "ACL SETUSER u -",
	"ACL SETUSER u +@", "ACL SETUSER u word", "ACL SETUSER u ON OFF", "ACL SETUSER u off +foo", "ACL LIST",
	"ACL SETUSER u reset", "ACL LIST", "ACL SETUSER u +ping (+info ~x) (+role &y)", "ACL LIST", "ACL GETUSER u",
	"ACL SETUSER u (+info", "ACL SETUSER u (+info ~x", "ACL SETUSER u +info)", "ACL SETUSER u (+foo)", "ACL SETUSER u (on)", "ACL SETUSER u ()", "ACL LIST",
	"ACL SETUSER u clearselectors", "ACL LIST", "ACL SETUSER u skip-sanitize-payload", "ACL LIST", "ACL SETUSER u reset",
	"ACL DRYRUN u ping", "ACL DRYRUN nobody ping", "ACL DRYRUN u foo", "ACL DRYRUN u sentinel", "ACL DRYRUN u sentinel foo", "ACL DRYRUN u sentinel masters",
	"ACL DRYRUN u ping a b c", "ACL DRYRUN u auth x", "ACL DRYRUN u hello", "ACL SETUSER u +subscribe +psubscribe +publish &+*", "ACL DRYRUN u subscribe +x -x",
	"ACL DRYRUN u subscribe +x", "ACL DRYRUN u psubscribe +*", "ACL DRYRUN u psubscribe +s*", "ACL DRYRUN u publish -x y", "ACL DRYRUN u unsubscribe -x",
	"ACL LOG", "AUTH x", "AUTH u x", "AUTH nobody x", "AUTH a b c", "AUTH", "HELLO 9", "HELLO x", "HELLO 2 AUTH u x", "HELLO 2 AUTH u", "ACL LOG 1", "ACL LOG -1", "ACL LOG 1x", "ACL LOG 1 2", "ACL LOG",
	"ACL SETUSER u on >p", "AUTH u p", "PING", "ACL WHOAMI", "INFO", "SENTINEL MASTERS", "SENTINEL FOO", "CLIENT ID", "SUBSCRIBE -x", "PSUBSCRIBE +s*", "PUBLISH -x y",
	"AUTH default x", "ACL LOG", "ACL LOG RESET", "ACL LOG",
	"ACL SETUSER u nocommands", "ACL SETUSER default >top", "PING", "AGAIN", "PING", "SENTINEL", "FOO", "ACL WHOAMI", "HELLO 2", "AUTH wrong", "AUTH top", "ACL WHOAMI",
	"ACL SETUSER default resetpass off", "AUTH top", "PING", "ACL LIST", "ACL SETUSER default on nopass", "AUTH top",
	"ACL DELUSER default", "ACL DELUSER u nobody u", "ACL USERS",
	"ACL SAVE", "ACL LOAD", "ACL LIST",
	"FILE user a on >x +ping|\n\n  user b off ~x  \n", "ACL LOAD", "ACL USERS",
	"FILE user a on +foo\nuser b +@zz\nbla\nuser\nuser a on\nuser c \"x\n\n  user d on\nuser e ~* ~x\nuser f (+ping\nuser g >x off", "ACL LOAD", "ACL USERS",
	"FILE user a on >x +ping &c (+info ~y)\nuser default on nopass +@all ~* &*", "ACL LOAD", "ACL LIST", "ACL GETUSER a",
	"FILE ", "ACL LOAD", "ACL LIST",
}

// Goal: ACL answers as a real Redis Sentinel does, in both protocols, but for
// what Redis changed from 7.0 to 7.2.
func TestLikeRedisSentinel(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		t.Run("RESP"+proto, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "users.acl")
			write(t, file, "")
			real, ours := startSentinel(t, file), startOurs(t, file)
			a, b := connect(t, real, proto), connect(t, ours, proto)
			for _, line := range exchanges {
				if text, is := strings.CutPrefix(line, "FILE "); is {
					write(t, file, text)
					continue
				}
				if line == "AGAIN" {
					a, b = connect(t, real, "2"), connect(t, ours, "2")
					continue
				}
				words := strings.Fields(line)
				want, got := normal(a.ask(words...), words), normal(b.ask(words...), words)
				if !reflect.DeepEqual(want, got) {
					t.Errorf("%s\nSentinel %#v\n    ours %#v", line, want, got)
				}
			}
		})
	}
}

// Goal: whatever the rules, the same commands are allowed as in a real Redis
// Sentinel, and categories hold the same commands.
func TestRightsLikeRedisSentinel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.acl")
	write(t, file, "")
	a, b := connect(t, startSentinel(t, file), "2"), connect(t, startOurs(t, file), "2")
	var requests [][]string
	for _, name := range a.ask("COMMAND", "LIST").([]any) {
		info := a.ask("COMMAND", "INFO", name.(string)).([]any)[0].([]any)
		words := strings.Split(name.(string), "|")
		for len(words) < int(max(info[1].(int64), -info[1].(int64))) {
			words = append(words, "x")
		}
		if name == "sentinel|config" {
			words = append(words, "x") // 7.2 wants one more
		}
		requests = append(requests, words)
	}
	if len(requests) < 60 {
		t.Fatalf("only %d commands", len(requests))
	}
	requests = append(requests, []string{"info", "SERVER"}, []string{"ping", "a"}, []string{"sentinel", "MASTERS"})
	categories := a.ask("ACL", "CAT").([]any)
	rules := []string{
		"+@all", "-@all", "+sentinel", "+sentinel -sentinel|failover", "-sentinel|failover +sentinel", "+sentinel|master -sentinel +sentinel|masters",
		"+@all -sentinel", "+@all -client +client|id", "+@admin -@dangerous", "+@dangerous -@admin", "+@all -@slow +@pubsub -publish", "+client|kill +client -client|list",
		"+info|server", "+info|server -@dangerous", "-@dangerous +info|server +ping|a", "allcommands -acl +acl|whoami", "+@all nocommands +role", "+command +acl -acl|help",
		"+SENTINEL|Master +@PubSub", "+@all -@all +@fast",
	}
	for _, category := range categories {
		rules = append(rules, "+@"+category.(string), "+@all -@"+category.(string))
		want, got := set(a.ask("ACL", "CAT", category.(string))), set(b.ask("ACL", "CAT", category.(string)))
		for name := range want {
			if !got[name] {
				t.Errorf("%s is not in @%s", name, category)
			}
		}
		for name := range got {
			if isNew := strings.HasPrefix(name, "warden") || strings.Contains(name, "primar") || name == "client|setinfo" || name == "quit"; !want[name] && !isNew {
				t.Errorf("%s is in @%s", name, category)
			}
		}
	}
	for _, rule := range rules {
		words := append([]string{"ACL", "SETUSER", "u", "reset", "&*", "~*"}, strings.Fields(rule)...)
		for _, p := range []*peer{a, b} {
			if answer := p.ask(words...); answer != "OK" {
				t.Fatalf("%v: %v", words, answer)
			}
		}
		for _, request := range requests {
			dry := append([]string{"ACL", "DRYRUN", "u"}, request...)
			want, got := normal(a.ask(dry...), dry), normal(b.ask(dry...), dry)
			if !reflect.DeepEqual(want, got) {
				t.Errorf("%s: %s: Sentinel %v, ours %v", rule, request, want, got)
			}
		}
	}
}

func set(answer any) map[string]bool {
	m := map[string]bool{}
	for _, name := range answer.([]any) {
		m[name.(string)] = true
	}
	return m
}

var noPermission = regexp.MustCompile(`(?i)(this user|user \S+) has no permissions to`)

// normal takes out of an answer what Redis 7.0 and 7.2 do differently: how some
// refusals are worded, whether sanitize-payload is shown, how the rules of
// commands are summed up, what a log entry tells.
func normal(answer any, words []string) any {
	switch v := answer.(type) {
	case string:
		v = strings.ReplaceAll(v, "sanitize-payload ", "")
		v = strings.ReplaceAll(v, "NOPERM this user has no permissions to access one of the channels used as arguments", "NOPERM No permissions to access a channel")
		v = strings.ReplaceAll(v, "the HELLO AUTH", "the HELLO <proto> AUTH")
		return noPermission.ReplaceAllString(v, "nobody may")
	case []any:
		if len(words) > 2 && strings.EqualFold(words[1], "getuser") {
			v = slices.DeleteFunc(v, func(x any) bool { return x == "sanitize-payload" })
		}
		if i := slices.Index(v, any("age-seconds")); i > 0 { // an entry of ACL LOG in RESP2
			v = v[:i]
		}
		for i := range v {
			v[i] = normal(v[i], words)
		}
		return v
	case map[string]any:
		for _, key := range []string{"age-seconds", "client-info", "entry-id", "timestamp-created", "timestamp-last-updated"} {
			delete(v, key)
		}
		for key := range v {
			v[key] = normal(v[key], words)
		}
	}
	return answer
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startSentinel runs a real Redis Sentinel and returns its address.
func startSentinel(t *testing.T, file string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	_ = l.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "sentinel.conf")
	write(t, config, fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nlogfile log\naclfile %s\n", port, dir, file))
	adaptertest.Launch(t, exec.Command("redis-server", config, "--sentinel"))
	adaptertest.Await(t, "a Redis Sentinel on "+addr, func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
	return addr
}

// noGroups is a Directory that must not be asked.
type noGroups struct{ warden.Directory }

func startOurs(t *testing.T, file string) string {
	t.Helper()
	list, err := acl.New(acl.Options{File: file})
	if err != nil {
		t.Fatal(err)
	}
	s, err := resp.New(resp.Options{Addr: "127.0.0.1:0", Directory: noGroups{}, Access: list})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

// peer is a connection that decodes answers: simple strings, bulks and errors
// are strings, numbers int64, null nil, maps and arrays what they are; sets are
// arrays with a mark.
type peer struct {
	t    *testing.T
	conn net.Conn
	br   *bufio.Reader
}

func connect(t *testing.T, addr, proto string) *peer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	p := &peer{t, conn, bufio.NewReader(conn)}
	if proto == "3" {
		p.ask("HELLO", proto)
	}
	return p
}

func (p *peer) ask(words ...string) any {
	p.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(p.conn, b.String()); err != nil {
		p.t.Fatalf("%q: %v", words, err)
	}
	answer, err := p.decode()
	if err != nil {
		p.t.Fatalf("%q: %v", words, err)
	}
	return answer
}

func (p *peer) decode() (any, error) {
	line, err := p.br.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, text := line[0], strings.TrimSuffix(line[1:], "\r\n")
	if strings.IndexByte("+-,", kind) >= 0 {
		return strings.TrimPrefix(string(kind), "+") + text, nil
	}
	n, err := strconv.ParseInt("0"+text, 10, 64)
	switch {
	case kind == '_', kind != ':' && text == "-1":
		return string(kind) + "null", nil
	case kind == ':':
		n, err = strconv.ParseInt(text, 10, 64)
		return n, err
	case err != nil:
		return nil, err
	case kind == '$' || kind == '=':
		body := make([]byte, n+2)
		_, err := io.ReadFull(p.br, body)
		return string(body[:n]), err
	}
	if kind == '%' {
		n *= 2
	}
	list := make([]any, 0, n)
	for range n {
		v, err := p.decode()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	switch kind {
	case '%':
		m := map[string]any{}
		for pair := range slices.Chunk(list, 2) {
			m[pair[0].(string)] = pair[1]
		}
		return m, nil
	case '~':
		return map[string]any{"a set": list}, nil
	}
	return list, nil
}
