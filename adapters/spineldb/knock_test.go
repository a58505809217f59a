package spineldb

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Goal: a knock tells servers that take a new connection and answer on it from
// those that turn it away, are silent, or speak something else.
func TestKnock(t *testing.T) {
	for name, x := range map[string]struct {
		user, password string
		replies        map[string]string
		wrong          string // a part of the error; empty: it goes well
	}{
		"answers":                      {replies: map[string]string{"PING": "+PONG\r\n"}},
		"loads":                        {replies: map[string]string{"PING": "-LOADING Redis is loading the dataset in memory\r\n"}},
		"runs a script":                {replies: map[string]string{"PING": "-BUSY Redis is busy running a script.\r\n"}},
		"has lost its primary":         {replies: map[string]string{"PING": "-MASTERDOWN Link with MASTER is down\r\n"}},
		"has no room":                  {replies: map[string]string{"PING": "-ERR max number of clients reached\r\n"}, wrong: "max number"},
		"wants a password":             {replies: map[string]string{"PING": "-NOAUTH Authentication required.\r\n"}, wrong: "NOAUTH"},
		"knows the password":           {password: "pw", replies: map[string]string{"AUTH": "+OK\r\n", "PING": "+PONG\r\n"}},
		"knows the user":               {user: "u", password: "pw", replies: map[string]string{"AUTH": "+OK\r\n", "PING": "+PONG\r\n"}},
		"knows the password no longer": {password: "pw", replies: map[string]string{"AUTH": "-WRONGPASS invalid\r\n", "PING": "-NOAUTH\r\n"}, wrong: "WRONGPASS"},
		"speaks without an end":        {replies: map[string]string{"PING": strings.Repeat("x", 2*knockLine)}, wrong: "buffer full"},
		"is silent":                    {replies: map[string]string{"PING": ""}, wrong: "wait for the answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t, script(x.replies))
			l := New(Options{User: x.user, Password: x.password}).Open(f.node, warden.LinkEvents{})
			defer l.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if x.wrong == "wait for the answer" {
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
			}
			err := l.Knock(ctx)
			if (err == nil) != (x.wrong == "") || err != nil && !strings.Contains(err.Error(), x.wrong) {
				t.Errorf("knock: %v, want %q", err, x.wrong)
			}
		})
	}
}
