package postgreslab

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// account is whom the servers run as; nil: as ourselves.
type account struct{ uid, gid uint32 }

// findAccount looks for the account when we are root, which PostgreSQL is not
// run as.
func findAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no account postgres to run it as: run this as another user: %w", err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return nil, fmt.Errorf("read the account postgres: %w", err)
	}
	return &account{uint32(uid), uint32(gid)}, nil
}

// own gives a file to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("give %s to the account postgres: %w", path, err)
	}
	return nil
}

// attributes make a child the account's, keep a terminal's Ctrl-C from it, and
// have the kernel end it if we cannot.
func (a *account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// dropping is a command that becomes the account and then the rest of the line.
func (a *account) dropping() []string {
	if a == nil {
		return nil
	}
	return []string{"setpriv", "--reuid=" + strconv.Itoa(int(a.uid)), "--regid=" + strconv.Itoa(int(a.gid)), "--clear-groups", "--pdeathsig", "KILL"}
}

func stop(pid int)      { _ = syscall.Kill(pid, syscall.SIGSTOP) }
func goOn(pid int)      { _ = syscall.Kill(pid, syscall.SIGCONT) }
func kill(pid int)      { _ = syscall.Kill(pid, syscall.SIGKILL) }
func interrupt(pid int) { _ = syscall.Kill(pid, syscall.SIGINT) }

// childrenOf are the processes that a server has made.
func childrenOf(pid int) []int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var out []int
	for _, word := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			out = append(out, child)
		}
	}
	return out
}

// anyOutside reports whether one of the processes is there and in none of the
// states: T stopped, Z and X ended and not waited for.
func anyOutside(pids []int, states string) bool {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if len(rest) > 0 && !strings.Contains(states, rest[:1]) {
			return true
		}
	}
	return false
}

// ours reports whether a process is a server on the directory: a file with the
// number of a process may be older than the process.
func ours(pid int, dir string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(text), dir+"\x00") && anyOutside([]int{pid}, "ZX")
}

// freeMemory removes what the kernel keeps of a server that was killed: a segment of
// shared memory, named in its lock file, of which a machine has 4096. A server that
// starts in the same directory again would do so, and many never do.
func freeMemory(dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return
	}
	const line = 6 // "KEY ID"
	lines := strings.Split(string(text), "\n")
	if len(lines) <= line {
		return
	}
	if words := strings.Fields(lines[line]); len(words) == 2 {
		if id, err := strconv.Atoi(words[1]); err == nil {
			_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) // it may be gone
		}
	}
}
