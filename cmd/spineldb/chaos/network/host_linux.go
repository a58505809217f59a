package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	device = "net0"
	// mtu is large, so that a copy of a database is few packets.
	mtu   = 9000
	queue = 5000
	// patience is for ip, which needs milliseconds.
	patience = 10 * time.Second
)

// Network is a set of hosts and the router between them. Safe for concurrent
// use. Close removes all of it.
type Network struct {
	router *router

	mu      sync.Mutex
	hosts   []*Host
	readers sync.WaitGroup
}

// New is a network without hosts.
func New() *Network { return &Network{router: newRouter()} }

// Host is one namespace with one address.
type Host struct {
	Name string
	Addr netip.Addr

	namespace *os.File
	tun       *os.File
}

// AddHost makes a host. The address must be in 10.78.0.0/24, which exists inside
// the namespaces only.
func (n *Network) AddHost(name string, addr netip.Addr) (*Host, error) {
	h := &Host{Name: name, Addr: addr}
	if err := h.make(); err != nil {
		h.close()
		return nil, fmt.Errorf("make host %s: %w: run this as root on Linux, with iproute2 and util-linux", name, err)
	}
	n.mu.Lock()
	n.hosts = append(n.hosts, h)
	n.mu.Unlock()
	n.router.attach(addr, &port{name: name, send: func(p []byte) error { _, err := h.tun.Write(p); return err }})
	n.readers.Go(func() { n.read(h) })
	return h, nil
}

// read hands what a host sends to the router until the host is closed.
func (n *Network) read(h *Host) {
	buffer := make([]byte, 1<<16)
	for {
		size, err := h.tun.Read(buffer)
		if err != nil {
			return
		}
		n.router.forward(append([]byte(nil), buffer[:size]...))
	}
}

// Inject puts a fault into force until it is lifted.
func (n *Network) Inject(f Fault) *Active { return n.router.add(f) }

// Close takes the devices away. The namespaces end with the last process inside.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.hosts {
		h.close()
	}
	n.readers.Wait()
}

func (h *Host) close() {
	for _, f := range []*os.File{h.tun, h.namespace} {
		if f != nil {
			_ = f.Close() // nothing is buffered
		}
	}
}

// make opens a namespace on a thread of its own for a moment, and puts the
// device into it.
func (h *Host) make() (err error) {
	return aside(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		if h.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return fmt.Errorf("open network namespace: %w", err)
		}
		if h.tun, err = openTun(); err != nil {
			return err
		}
		return errors.Join(
			ip("link", "set", "lo", "up"),
			ip("addr", "add", h.Addr.String()+"/24", "dev", device),
			ip("link", "set", device, "mtu", fmt.Sprint(mtu), "txqueuelen", fmt.Sprint(queue), "up"))
	})
}

// aside runs f on this thread, which may change its namespace meanwhile.
func aside(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer home.Close()
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(fmt.Sprintf("leave network namespace: %v", back)) // this thread is of no use to anybody any more
	}
	return err
}

// openTun makes the device in the namespace of this thread.
func openTun() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make TUN device: %w", err)
	}
	// Only now: a file is watched for readiness from its first day on, and the
	// device was none before.
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// ip runs in the namespace of this thread, which children inherit.
func ip(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Prefix is put before a command line to run it on the host.
func (h *Host) Prefix() []string {
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), h.namespace.Fd())}
}

// Dial connects from the host to an address, which must be a number. The
// context and two seconds bound it.
func (h *Host) Dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = aside(func() error {
		if err := h.enter(); err != nil {
			return err
		}
		conn, err = (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// enter moves this thread to the host; see aside.
func (h *Host) enter() error {
	if err := unix.Setns(int(h.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return nil
}
