package resp

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/discovery/acl"
	"github.com/spineldb/warden/warden"
)

var _ Access = (*acl.List)(nil)

// restricted is a user who may do what every client of the drop-in needs, and
// nothing else.
const restricted = "app on >secret resetchannels &* -@all +auth +hello +ping +role +info +command " +
	"+client|setname +client|setinfo +client|getname +client|id +subscribe +psubscribe +unsubscribe +punsubscribe " +
	"+sentinel|get-master-addr-by-name +sentinel|master +sentinel|masters +sentinel|replicas +sentinel|slaves " +
	"+sentinel|sentinels +sentinel|myid"

// startWithUsers serves with these users.
func startWithUsers(t *testing.T, dir warden.Directory, o acl.Options) (*Server, *acl.List) {
	t.Helper()
	list, err := acl.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return startServer(t, dir, func(options *Options) { options.Access = list }), list
}

// Goal: the checks come in Redis's order, and the refusals in its words.
func TestOrderOfChecks(t *testing.T) {
	s, _ := startWithUsers(t, newFake(), acl.Options{RequirePass: "top", Users: []string{"app on >secret -@all +ping +subscribe &+*", "off >secret", "default on >top +@all &* ~*"}})
	p := dial(t, s)
	p.want("-ERR unknown command 'SELECT', with args beginning with: '0' \r\n", "SELECT", "0")
	p.want("-ERR wrong number of arguments for 'sentinel|master' command\r\n", "SENTINEL", "MASTER")
	p.want("-NOAUTH Authentication required.\r\n", "SENTINEL", "MASTERS")
	p.want("-NOAUTH Authentication required.\r\n", "ACL", "WHOAMI")
	const wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	p.want(wrong, "AUTH", "secret")
	p.want(wrong, "AUTH", "app", "top")
	p.want(wrong, "AUTH", "off", "secret")
	p.want(wrong, "AUTH", "nobody", "secret")
	p.want(wrong, "HELLO", "3", "AUTH", "app", "wrong")
	p.want("-ERR syntax error\r\n", "AUTH", "app", "secret", "more")
	p.want("+OK\r\n", "AUTH", "app", "secret")
	p.want("+PONG\r\n", "PING")
	p.want("-NOPERM User app has no permissions to run the 'sentinel|masters' command\r\n", "SENTINEL", "MASTERS")
	p.want("-NOPERM User app has no permissions to run the 'acl|whoami' command\r\n", "ACL", "WHOAMI")
	p.want("-NOPERM User app has no permissions to run the 'warden|status' command\r\n", "WARDEN", "STATUS")
	p.want("-ERR unknown subcommand 'FOO'. Try SENTINEL HELP.\r\n", "SENTINEL", "FOO")
	p.want("-NOPERM No permissions to access a channel\r\n", "SUBSCRIBE", "+sdown", "-sdown")
	p.want("-NOPERM User app has no permissions to run the 'psubscribe' command\r\n", "PSUBSCRIBE", "+*")
	p.want("*3\r\n$9\r\nsubscribe\r\n$6\r\n+sdown\r\n:1\r\n", "SUBSCRIBE", "+sdown")
	p.want("-NOPERM User app has no permissions to run the 'info' command\r\n", "INFO")
	if got := p.ask("HELLO", "3", "AUTH", "default", "top"); !strings.HasPrefix(got, "-ERR Can't execute 'hello'") {
		t.Errorf("got %q", got)
	}
	q := dial(t, s)
	if got := q.ask("HELLO", "3", "AUTH", "default", "top"); !strings.HasPrefix(got, "%6\r\n") {
		t.Errorf("got %q", got)
	}
	q.want("$7\r\ndefault\r\n", "ACL", "WHOAMI")
	if got := q.ask("CLIENT", "LIST"); !strings.Contains(got, " user=app ") || !strings.Contains(got, " user=default ") {
		t.Errorf("got %q", got)
	}
}

// Goal: one who is not let in learns about open doors only: AUTH without a
// password tells so, and a door that opens lets those in who wait.
func TestOpenDoor(t *testing.T) {
	s, list := startWithUsers(t, newFake(), acl.Options{RequirePass: "x"})
	p := dial(t, s)
	p.want("-NOAUTH Authentication required.\r\n", "PING")
	if err := list.SetUser("default", []string{"nopass"}); err != nil {
		t.Fatal(err)
	}
	p.want("+PONG\r\n", "PING")
	q := dial(t, s)
	if got := q.ask("AUTH", "x"); !strings.HasPrefix(got, "-ERR AUTH <password> called without any password configured") {
		t.Errorf("got %q", got)
	}
	q.want("+OK\r\n", "AUTH", "default", "whatever")
}

// Goal: a deleted user's connections end, and those that listen to what their
// user may not hear any more; one that is switched off goes on, as in Redis.
func TestConnectionsOfChangedUsers(t *testing.T) {
	s, list := startWithUsers(t, newFake(), acl.Options{Users: []string{"a on nopass +@all &*", "b on nopass +@all &*", "c on nopass +@all &*"}})
	login := func(user string) *peer {
		p := dial(t, s)
		p.want("+OK\r\n", "AUTH", user, "x")
		return p
	}
	admin, a, idle := dial(t, s), login("a"), login("b")
	channel, pattern, fine := login("b"), login("b"), login("b")
	channel.ask("SUBSCRIBE", "-sdown", "+sdown")
	pattern.ask("PSUBSCRIBE", "+*")
	fine.ask("SUBSCRIBE", "+sdown")

	admin.want("+OK\r\n", "ACL", "SETUSER", "b", "resetchannels", "&+sdown", "off")
	channel.closed()
	pattern.closed()
	idle.want("+PONG\r\n", "PING")
	s.Publish(event("+sdown", "x"))
	fine.frame() // the rest of its confirmation was read before; this is the event
	admin.want("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "AUTH", "b", "x")

	admin.want(":1\r\n", "ACL", "DELUSER", "a", "nobody")
	a.closed()
	self := login("c")
	self.want(":1\r\n", "ACL", "DELUSER", "c") // its answer comes first
	self.closed()
	if _, err := list.DeleteUsers([]string{"b"}); err != nil {
		t.Fatal(err)
	}
	s.AccessChanged() // as whoever changed the list has to say
	idle.closed()
	fine.closed()
	admin.want("+PONG\r\n", "PING")
}

// Goal: while users come and go, no connection keeps rights that nobody has.
func TestSubscribingWhileRightsChange(t *testing.T) {
	s, _ := startWithUsers(t, newFake(), acl.Options{})
	admin := dial(t, s)
	for range 50 {
		admin.want("+OK\r\n", "ACL", "SETUSER", "u", "on", "nopass", "+@all", "&*")
		p := dial(t, s)
		p.want("+OK\r\n", "AUTH", "u", "x")
		var wg sync.WaitGroup
		wg.Go(func() { p.send(request("SUBSCRIBE", "+sdown")) })
		admin.want(":1\r\n", "ACL", "DELUSER", "u")
		wg.Wait()
		p.closed()
	}
	eventually(t, "all subscriptions to end", func() bool { n, _, _ := s.hub.counts(); return n == 0 })
}

// Goal: the log shows what was denied to whom, in the shape of each protocol.
func TestACLLog(t *testing.T) {
	s, _ := startWithUsers(t, newFake(), acl.Options{Users: []string{"app on >secret -@all +subscribe"}})
	p := dial(t, s)
	p.ask("AUTH", "app", "wrong")
	p.want("+OK\r\n", "AUTH", "app", "secret")
	p.ask("SENTINEL", "MASTERS")
	p.ask("SENTINEL", "MASTERS")
	p.ask("SUBSCRIBE", "+x")
	admin := dial(t, s)
	got := admin.ask("ACL", "LOG")
	for _, want := range []string{
		"*3\r\n*20\r\n$5\r\ncount\r\n:1\r\n$6\r\nreason\r\n$7\r\nchannel\r\n$7\r\ncontext\r\n$8\r\ntoplevel\r\n$6\r\nobject\r\n$2\r\n+x\r\n$8\r\nusername\r\n$3\r\napp\r\n$11\r\nage-seconds\r\n",
		"*20\r\n$5\r\ncount\r\n:2\r\n$6\r\nreason\r\n$7\r\ncommand\r\n$7\r\ncontext\r\n$8\r\ntoplevel\r\n$6\r\nobject\r\n$16\r\nsentinel|masters\r\n",
		"$4\r\nauth\r\n$7\r\ncontext\r\n$8\r\ntoplevel\r\n$6\r\nobject\r\n$4\r\nAUTH\r\n$8\r\nusername\r\n$3\r\napp\r\n", "$11\r\nclient-info\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if got := admin.ask("ACL", "LOG", "1"); !strings.HasPrefix(got, "*1\r\n") {
		t.Errorf("got %q", got)
	}
	admin.ask("HELLO", "3")
	if got := admin.ask("ACL", "LOG"); !strings.Contains(got, "%10\r\n") || !strings.Contains(got, "$11\r\nage-seconds\r\n,0") {
		t.Errorf("got %q", got)
	}
	admin.want("+OK\r\n", "ACL", "LOG", "reset")
	admin.want("*0\r\n", "ACL", "LOG")
}

// Goal: wrong passwords are logged without the password, and not once each.
func TestFailedLoginsAreLogged(t *testing.T) {
	var log lockedBuffer
	list, err := acl.New(acl.Options{RequirePass: "right"})
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, newFake(), func(o *Options) {
		o.Access, o.Logger = list, slog.New(slog.NewTextHandler(&log, nil))
	})
	p := dial(t, s)
	for range 200 {
		p.ask("AUTH", "app", "hunter2")
	}
	text := log.String()
	if n := strings.Count(text, "login failed"); n < 1 || n > 20 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(text, "user=app") || strings.Contains(text, "hunter2") {
		t.Errorf("got %s", text)
	}
}

// Goal: the catalogue of access rules knows every command that is served, with
// the categories that COMMAND INFO tells.
func TestCatalogueKnowsEveryCommand(t *testing.T) {
	list, err := acl.New(acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name := range newCommandTable().byName {
		got, want := list.CategoriesOf(name), traitsOf(name).categories
		if len(got) == 0 {
			t.Errorf("%s is in no category: add it to the catalogue of package acl", name)
		} else if !slices.Equal(got, want) {
			t.Errorf("%s: access rules say %v, COMMAND INFO %v", name, got, want)
		}
	}
}

// Goal: without users ACL says so, and what needs none works.
func TestACLWithoutUsers(t *testing.T) {
	s := startServer(t, newFake(), func(o *Options) { o.Password = "x" })
	p := dial(t, s)
	p.want("+OK\r\n", "AUTH", "x")
	p.want("$7\r\ndefault\r\n", "ACL", "WHOAMI")
	if got := p.ask("ACL", "LIST"); !strings.HasPrefix(got, "-ERR this server keeps no users") {
		t.Errorf("got %q", got)
	}
	if got := p.ask("ACL", "GENPASS", "5"); len(got) != len("$2\r\n00\r\n") {
		t.Errorf("got %q", got)
	}
	s.AccessChanged()
	p.want("+PONG\r\n", "PING")
}

// Goal: go-redis, unmodified and as a restricted user, finds the primary, reads
// the replicas and follows a failover, in both protocols, without being denied
// anything.
func TestRestrictedUserSatisfiesGoRedis(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		first, second := startServer(t, newFake(), nil), startServer(t, newFake(), nil)
		dir := newFake()
		dir.Change(func(v *warden.GroupView) { v.Primary, v.Peers = warden.NodeID(first.Addr().String()), nil })
		s, list := startWithUsers(t, dir, acl.Options{Users: []string{restricted, "default off"}})
		client := redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: "mymaster", SentinelAddrs: []string{s.Addr().String()}, SentinelUsername: "app", SentinelPassword: "secret",
			MaxRetries: 5, Protocol: protocol,
		})
		t.Cleanup(func() { _ = client.Close() })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := client.Ping(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the client to subscribe", func() bool { n, _, _ := s.hub.counts(); return n == 1 })
		sentinel := sentinelClient(t, s, func(o *redis.Options) { o.Username, o.Password, o.Protocol = "app", "secret", protocol })
		if replicas, err := sentinel.Replicas(ctx, "mymaster").Result(); err != nil || len(replicas) != 2 {
			t.Errorf("RESP%d: %v, %v", protocol, replicas, err)
		}
		if err := sentinel.Failover(ctx, "mymaster").Err(); !redis.HasErrorPrefix(err, "NOPERM") {
			t.Errorf("RESP%d: a failover by a restricted user: %v", protocol, err)
		}
		list.ForgetIncidents()
		dir.Change(func(v *warden.GroupView) { v.Primary = warden.NodeID(second.Addr().String()) })
		host, port := address(warden.NodeID(second.Addr().String()))
		s.Publish(event("+switch-master", "mymaster 10.0.0.1 6379 "+host+" "+port))
		eventually(t, "pings to reach the new primary", func() bool {
			_ = client.Ping(ctx).Err()
			return second.stats.commands.Load() > 0
		})
		if denied := list.Incidents(10); len(denied) > 0 {
			t.Errorf("RESP%d: denied %+v", protocol, denied)
		}
	}
}
