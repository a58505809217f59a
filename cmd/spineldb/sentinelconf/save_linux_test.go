package sentinelconf

import (
	"os"
	"strings"
	"testing"
)

// A directory in which no file can be made and a file that cannot be opened
// for writing are told, even to root.
func TestSaveRefusesOnLinux(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"let the user it runs as write that directory": Save("/proc/self/status", []byte("x")),
		// A program that runs cannot be written.
		"let the user it runs as write it": Writable(self),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %s", err, what)
		}
	}
}
