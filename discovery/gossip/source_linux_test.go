package gossip

import (
	"net"
	"testing"
	"time"
)

// Goal: connections come from the address that was chosen for them.
func TestSource(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	start(t, 1, func(o *Options) { o.Source, o.Join = net.ParseIP("127.0.0.2"), []string{l.Addr().String()} })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if from := c.RemoteAddr().(*net.TCPAddr).IP.String(); from != "127.0.0.2" {
		t.Errorf("the connection comes from %s", from)
	}
}
