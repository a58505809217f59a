package spineldb

import (
	"net"
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: connections come from the address that was chosen for them.
func TestSource(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := New(Options{Source: net.ParseIP("127.0.0.2")})
	w, err := a.dial(t.Context(), warden.NodeID(l.Addr().String()), "")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if from := c.RemoteAddr().(*net.TCPAddr).IP.String(); from != "127.0.0.2" {
		t.Errorf("the connection comes from %s", from)
	}
}
