package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spineldb/warden/warden"
)

// Goal: what a server or the network says is sorted by what it proves.
func TestHealth(t *testing.T) {
	state := func(severity, code string) error {
		return fmt.Errorf("look: %w", &pgconn.PgError{Severity: severity, Code: code, Message: "m"})
	}
	cases := map[string]struct {
		err  error
		want warden.Health
	}{
		"none":               {nil, warden.HealthGood},
		"starting up":        {state("FATAL", "57P03"), warden.HealthLoading},
		"too many clients":   {state("FATAL", "53300"), warden.HealthBusy},
		"wrong password":     {state("FATAL", "28P01"), warden.HealthDenied},
		"no pg_hba line":     {state("FATAL", "28000"), warden.HealthDenied},
		"no such database":   {state("FATAL", "3D000"), warden.HealthDenied},
		"no permission":      {state("ERROR", "42501"), warden.HealthDenied},
		"any other":          {state("ERROR", "XX000"), warden.HealthError},
		"terminated":         {state("FATAL", "57P01"), warden.HealthRefused},
		"sibling crashed":    {state("WARNING", "57P02"), warden.HealthRefused},
		"idle for too long":  {state("FATAL", "57P05"), warden.HealthRefused},
		"end":                {fmt.Errorf("x: %w", io.ErrUnexpectedEOF), warden.HealthRefused},
		"refused":            {fmt.Errorf("x: %w", syscall.ECONNREFUSED), warden.HealthRefused},
		"reset":              {syscall.ECONNRESET, warden.HealthRefused},
		"unreachable":        {&os.SyscallError{Syscall: "connect", Err: syscall.EHOSTUNREACH}, warden.HealthSilent},
		"deadline":           {context.DeadlineExceeded, warden.HealthSilent},
		"cancelled":          {context.Canceled, warden.HealthSilent},
		"certificate":        {x509.UnknownAuthorityError{}, warden.HealthDenied},
		"no TLS there":       {errors.New("server refused TLS connection"), warden.HealthDenied},
		"password file gone": {&os.PathError{Op: "open", Path: "f", Err: syscall.ENOENT}, warden.HealthDenied},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := healthOf(c.err); got != c.want {
				t.Errorf("health of %v: %s, want %s", c.err, got, c.want)
			}
		})
	}
}

// Goal: a statement's error tells whether the order can have happened.
func TestVerdict(t *testing.T) {
	s := &session{node: "a:1"}
	cases := map[string]struct {
		err  error
		want warden.Outcome
	}{
		"done":             {nil, warden.Done},
		"refused":          {&pgconn.PgError{Severity: "ERROR", Code: "42501"}, warden.Refused},
		"terminated":       {&pgconn.PgError{Severity: "FATAL", Code: "57P01"}, warden.Unknown},
		"translated fatal": {&pgconn.PgError{Severity: "SCHWERWIEGEND", SeverityUnlocalized: "FATAL", Code: "57P01"}, warden.Unknown},
		"connection lost":  {io.ErrUnexpectedEOF, warden.Unknown},
		"no answer":        {context.DeadlineExceeded, warden.Unknown},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := s.verdict("promote", c.err); got.Outcome != c.want {
				t.Errorf("verdict of %v: %+v, want %s", c.err, got, c.want)
			}
		})
	}
}

// Goal: connection strings survive being read and written, with every quote.
func TestConninfo(t *testing.T) {
	cases := map[string]struct {
		text     string
		password string
		upstream warden.NodeID
	}{
		"plain":       {"host=10.0.0.1 port=5433 user=r password=p", "p", "10.0.0.1:5433"},
		"blanks":      {"  host = 10.0.0.1  port = 5433\n", "", "10.0.0.1:5433"},
		"quotes":      {`password='it''s' host=x`, "it", ""},
		"escapes":     {`host='a' password='p\'q\\ r'`, `p'q\ r`, "a:5432"},
		"bare escape": {`host=a password=p\ q`, "p q", "a:5432"},
		"empty":       {"", "", ""},
		"socket":      {"host=/run/postgresql", "", ""},
		"hostaddr":    {"hostaddr=::1 port=1", "", "[::1]:1"},
		"uri":         {"postgresql://u:p%20w@db.example:6000/x?application_name=n", "p w", "db.example:6000"},
		"last counts": {"host=a host=b", "", "b:5432"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseConninfo(c.text)
			if name == "quotes" { // libpq takes no doubled quotes: the value ends
				if err == nil {
					t.Fatalf("accepted %q as %v", c.text, got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.get("password") != c.password || got.upstream() != c.upstream {
				t.Errorf("password %q upstream %q, want %q %q", got.get("password"), got.upstream(), c.password, c.upstream)
			}
			again, err := parseConninfo(got.String())
			if err != nil || again.String() != got.String() {
				t.Errorf("written as %q, read again as %q (%v)", got, again, err)
			}
		})
	}
	for _, bad := range []string{"host", "host='a", "=x", "secret password=x"} {
		if got, err := parseConninfo(bad); err == nil {
			t.Errorf("accepted %q as %v", bad, got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error of %q quotes it: %v", bad, err)
		}
	}
}

// Goal: whatever is parsed does not panic, and what is accepted can be written.
func FuzzConninfo(f *testing.F) {
	for _, text := range []string{"host=a port=1", `a='b\'c'`, "postgres://u:p@h:1/d?x=y", "="} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConninfo(text)
		if err != nil || strings.HasPrefix(text, "postgres") {
			return
		}
		again, err := parseConninfo(c.String())
		if err != nil || again.String() != c.String() {
			t.Errorf("%q is written as %q and read as %q (%v)", text, c, again, err)
		}
	})
}

// Goal: a re-pointed standby keeps what it has but for the address, and the
// options win.
func TestStreamFrom(t *testing.T) {
	have, err := parseConninfo("hostaddr=10.0.0.9 host=old port=1 user=r password=p sslmode=require keepalives=1")
	if err != nil {
		t.Fatal(err)
	}
	a := New(Options{ReplicationPassfile: "/etc/pass"})
	c := a.streamFrom(have, "10.0.0.2:5432", warden.Following{Primary: "[::1]:7"})
	for key, want := range map[string]string{
		"host": "::1", "hostaddr": "", "port": "7", "user": "r", "password": "p", "passfile": "/etc/pass",
		"keepalives": "1", "application_name": "10.0.0.2:5432", "sslmode": "prefer",
	} {
		if got := c.get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if c.member() != "" {
		t.Errorf("an address is taken for the member %q", c.member())
	}
	c = a.streamFrom(c, "10.0.0.2:5432", warden.Following{Primary: "[::1]:7", Name: "g_n_1.1"})
	if c.member() != "g_n_1.1" {
		t.Errorf("member %q", c.member())
	}
	long := warden.NodeID(strings.Repeat("h", 63) + ":1")
	if c = a.streamFrom(c, long, warden.Following{Primary: "[::1]:7"}); c.get("application_name") != "" {
		t.Errorf("a member's name stays: %q", c)
	}
}

// Goal: names of sessions are read as they are written, and no others.
func TestMarks(t *testing.T) {
	id := warden.WardenID(strings.Repeat("a1", 20))
	for _, group := range []warden.GroupName{"g", "my-group-1", "a.b_c", warden.GroupName(strings.Repeat("x", 128))} {
		m := markOf(warden.Claim{Group: group, Epoch: 1<<64 - 1, Warden: id}, markOrder)
		if len(m.String()) > maxName {
			t.Errorf("%q has %d bytes", m, len(m.String()))
		}
		if got, ok := parseMark(m.String()); !ok || got != m {
			t.Errorf("%q is read as %+v (%v)", m, got, ok)
		}
	}
	long := strings.Repeat("x", 100)
	if shorten(warden.GroupName(long+"1")) == shorten(warden.GroupName(long+"2")) {
		t.Error("two long groups have one short name")
	}
	for _, bad := range []string{"", "warden-", "warden-watch", "psql", "warden-g-1-a1a1a1a1", "warden-g-x-a1a1a1a1-order", "warden-g-1-a1a1a1-order", "warden-g-1-A1A1A1A1-order", "warden-g-1-a1a1a1a1-else"} {
		if m, ok := parseMark(bad); ok {
			t.Errorf("%q is read as %+v", bad, m)
		}
	}
	for text, want := range map[string]warden.Epoch{"7": 7, "8 g": 8, "9 other": 0, "": 0, "x g": 0, "-1 g": 0} {
		if got, ok := parseEpoch(text, "g"); got != want || ok != (want != 0) {
			t.Errorf("mark %q is read as %d (%v)", text, got, ok)
		}
	}
}

// Goal: slot names are legal, bounded, and different for different nodes.
func TestSlotName(t *testing.T) {
	seen := map[string]warden.NodeID{}
	for _, node := range []warden.NodeID{"10.0.0.1:5432", "10.0.0.1-5432:1", "10-0.0.1:5432", "[::1]:5432", "db.example.org:1", warden.NodeID(strings.Repeat("h", 200) + ":1")} {
		name := slotName(node)
		if len(name) > maxName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || !strings.HasPrefix(name, slotPrefix) {
			t.Errorf("slot of %s: %q", node, name)
		}
		if other, twice := seen[name]; twice {
			t.Errorf("%s and %s have one slot %q", node, other, name)
		}
		seen[name] = node
	}
}

// Goal: where a standby listens is what it says, or what its slot or its name
// says, else a guess that is no lie.
func TestListens(t *testing.T) {
	known := []warden.NodeID{"10.0.0.1:5432", "10.0.0.3:6001", "10.0.0.4:6000", "10.0.0.4:6001", "[fe80::5]:7"}
	member := func(node warden.NodeID) string {
		return warden.MemberName("my-group", node, warden.Version{Epoch: 7, Step: 2})
	}
	long := warden.NodeID(strings.Repeat("h", 60) + ":1")
	for name, c := range map[string]struct {
		r    receiver
		want warden.NodeID
	}{
		"name is an address":      {receiver{Name: "10.0.0.2:6000", Addr: "10.9.9.9", Slot: slotName("10.0.0.3:6001")}, "10.0.0.2:6000"},
		"guess":                   {receiver{Name: "walreceiver", Addr: "10.0.0.2"}, "10.0.0.2:5432"},
		"guess, IPv6":             {receiver{Name: "walreceiver", Addr: "::1"}, "[::1]:5432"},
		"the primary itself":      {receiver{Name: "walreceiver", Addr: "10.0.0.1"}, ""},
		"over a socket":           {receiver{Name: "walreceiver"}, ""},
		"no server":               {receiver{Name: "pg_receivewal", Addr: "10.0.0.2"}, ""},
		"a copy under way":        {receiver{Name: "x", Slot: "pg_basebackup_4711", Addr: "10.0.0.2"}, ""},
		"slot":                    {receiver{Name: "x", Slot: slotName("10.0.0.4:6001"), Addr: "10.9.9.9"}, "10.0.0.4:6001"},
		"slot before name":        {receiver{Name: member("10.0.0.4:6000"), Slot: slotName("10.0.0.4:6001")}, "10.0.0.4:6001"},
		"slot of nobody we know":  {receiver{Name: "x", Slot: "warden_x", Addr: "10.0.0.2"}, "10.0.0.2:5432"},
		"member":                  {receiver{Name: member("10.0.0.4:6001"), Addr: "10.9.9.9"}, "10.0.0.4:6001"},
		"member, IPv6":            {receiver{Name: member("[fe80::5]:7"), Addr: "10.9.9.9"}, "[fe80::5]:7"},
		"a name we did not make":  {receiver{Name: strings.Replace(member("10.0.0.4:6001"), "my", "your", 1), Addr: "10.0.0.2"}, "10.0.0.2:5432"},
		"a name that was cut":     {receiver{Name: member(long), Addr: "10.0.0.2"}, "10.0.0.2:5432"},
		"one known at the host":   {receiver{Name: "x", Addr: "10.0.0.3"}, "10.0.0.3:6001"},
		"two known at the host":   {receiver{Name: "x", Addr: "10.0.0.4"}, "10.0.0.4:5432"},
		"the primary's own host":  {receiver{Name: "x", Addr: "10.0.0.1"}, ""},
		"underscores and numbers": {receiver{Name: "_1_2.3", Addr: "10.0.0.2"}, "10.0.0.2:5432"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.r.listens("10.0.0.1:5432", append(known, long)); got != c.want {
				t.Errorf("%+v listens at %q, want %q", c.r, got, c.want)
			}
		})
	}
}

// Goal: the line of data before is the nearest ancestor in the history.
func TestBefore(t *testing.T) {
	for _, c := range []struct {
		timeline int64
		history  string
		want     string
		forks    string
	}{
		{1, "", "", "[]"},
		{2, "", "s/1", "[]"},
		{5, "1\t0/3000060\tno recovery target specified\n\n3\t2/5000000\treason\n", "s/3", "[{s/1 50331744} {s/3 8673820672}]"},
		{5, "# nonsense\n9 0/1 x\n2 x/1 x\n3 1\n", "s/4", "[]"},
	} {
		node := seen{System: "s", Timeline: c.timeline, History: c.history}
		if got := lineage("s", node.before()); got != c.want {
			t.Errorf("before timeline %d with %q: %q, want %q", c.timeline, c.history, got, c.want)
		}
		if got := fmt.Sprint(node.forks()); got != c.forks {
			t.Errorf("forks of timeline %d with %q: %s, want %s", c.timeline, c.history, got, c.forks)
		}
	}
}

// Goal: hellos arrive as they were sent; nonsense is ignored.
func TestHello(t *testing.T) {
	id := warden.WardenID(strings.Repeat("0f", 20))
	sent := warden.Hello{ID: id, Gossip: "[::1]:1", Client: "h:2", Group: "g", Epoch: 3, Primary: "p:4", Sentinel: string(id)}
	text, err := warden.EncodeHello(sent)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := warden.ParseHello(text); err != nil || got != sent {
		t.Errorf("sent %+v, got %+v (%v)", sent, got, err)
	}
	for _, bad := range []string{"", "{}", strings.Replace(text, "0f0f", "0F0F", 1), strings.Replace(text, `"g"`, `"g g"`, 1), strings.Replace(text, "h:2", "h", 1), text + strings.Repeat(" ", warden.MaxHello)} {
		if got, err := warden.ParseHello(bad); err == nil {
			t.Errorf("accepted %q as %+v", bad, got)
		}
	}
	sent.Gossip = strings.Repeat("x", warden.MaxHello) + ":1"
	if _, err := warden.EncodeHello(sent); err == nil {
		t.Error("a hello that is too long was encoded")
	}
}

// Goal: secrets come from where the options say, and stay out of errors.
func TestPasswordSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := New(Options{User: "it's", PasswordFile: file, SSLMode: "disable"}).config("[::1]:7")
	if err != nil || cfg.Password != "from file" || cfg.User != "it's" || cfg.Host != "::1" || cfg.Port != 7 {
		t.Errorf("config: %+v (%v)", cfg, err)
	}
	if _, err := New(Options{PasswordFile: file + "x"}).config("a:1"); healthOf(err) != warden.HealthDenied {
		t.Errorf("a lost password file: %v", err)
	}
	if _, err := New(Options{Password: "secret", SSLMode: "wrong"}).config("a:1"); err == nil || strings.Contains(err.Error(), "secret") || healthOf(err) != warden.HealthDenied {
		t.Errorf("a wrong sslmode: %v", err)
	}
}

// options are those of the role that docs/postgresql.md makes.
func options() Options { return Options{User: "warden", SSLMode: "disable"} }

func TestParseHistory(t *testing.T) {
	got := ParseHistory("1\t0/3000148\tno recovery target specified\n\nnonsense\n2\t1A/5000000\tno recovery target specified\n")
	if want := []Left{{1, 0x3000148}, {2, 0x1A<<32 | 0x5000000}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Goal: an error of a connection names the place once and the cause once.
func TestConnectError(t *testing.T) {
	o := options()
	o.SSLMode = "prefer"
	_, err := New(o).dial(soon(t), "127.0.0.1:1", dialing{})
	if want := "connect to 127.0.0.1:1: connect: connection refused"; err == nil || err.Error() != want || healthOf(err) != warden.HealthRefused {
		t.Errorf("%v (%s), want %s", err, healthOf(err), want)
	}
}
