package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// users are the names of the Warden's users, as a client is told.
func (w *ward) users() string {
	names, err := w.client.Do(w.lab.ctx(patience), "ACL", "USERS").StringSlice()
	if err != nil {
		return err.Error()
	}
	return strings.Join(names, " ")
}

// Goal: users in a file of their own are not written into sentinel.conf, where
// they would keep the next start from being one, and are read again at SIGHUP.
// A command that was renamed is found by its new name alone.
func TestDropInUsersFile(t *testing.T) {
	t.Parallel()
	l := newLab(t, "127.0.0.1")
	l.settings.dropIn = true
	file := l.path("users.acl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.settings.top = "aclfile " + file + "\nrename-command ROLE part\nacl-pubsub-default allchannels\nbind-source-addr 127.0.0.1"
	write("user one on >a +ping\n")
	l.addNode(nil)
	w := l.prepareWarden()
	w.start()
	if _, err := w.client.Do(l.ctx(patience), "ACL", "SETUSER", "two", "on", "nopass", "+ping").Result(); err != nil {
		t.Fatal(err)
	}
	if rules := fmt.Sprint(w.client.Do(l.ctx(patience), "ACL", "LIST").Val()); !strings.Contains(rules, "user two on nopass sanitize-payload &*") && !strings.Contains(rules, "user two on nopass &*") {
		t.Errorf("a new user may not listen to every channel: %s", rules)
	}
	w.must("FLUSHCONFIG")
	if lines := w.lines("user "); len(lines) > 0 {
		t.Errorf("there are users in the file: %q", lines)
	}
	for name, want := range map[string]string{"ROLE": "ERR unknown command", "part": "[sentinel "} {
		reply, err := w.client.Do(l.ctx(patience), name).Result()
		if got := fmt.Sprint(reply, err); !strings.Contains(got, want) {
			t.Errorf("%s is answered %q, want %q", name, got, want)
		}
	}
	write("user one on >a +ping\nuser three on >c +ping\n")
	w.process.signal(t, syscall.SIGHUP)
	await(t, "the users are those of the file", func() bool { return w.users() == "default one three" })
	write("user nonsense\nuser one +nothing\n")
	w.process.signal(t, syscall.SIGHUP)
	await(t, "a wrong file is told of", func() bool { return strings.Contains(w.process.tail(50), "the file of users is not taken") })
	if got := w.users(); got != "default one three" {
		t.Errorf("after a wrong file the users are %q", got)
	}
	write("user one on >a +ping\n")
	w.terminate()
	w.start()
	if got := w.users(); got != "default one" {
		t.Errorf("after a restart the users are %q", got)
	}
}

// Goal: users of a warden.toml are those of the file again after SIGHUP if they
// were changed there.
func TestReloadUsers(t *testing.T) {
	t.Parallel()
	l := newLab(t, "127.0.0.1")
	l.settings.wardens = 0
	l.settings.top = `users = ["one on >a +ping"]`
	l.addNode(nil)
	w := l.prepareWarden()
	w.start()
	if got := w.users(); got != "default one" {
		t.Errorf("the users are %q", got)
	}
	l.settings.top = `users = ["two on >a +ping"]`
	w.write(w.config())
	w.process.signal(t, syscall.SIGHUP)
	await(t, "the users are those of the file", func() bool { return w.users() == "default two" })
}
