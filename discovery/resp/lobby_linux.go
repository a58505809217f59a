package resp

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// lobby is where clients rest between two requests: one goroutine watches them
// all and answers quick questions itself. A crowd that asks costs one waking
// for many questions and no vain reading, and not both for each of them.
//
// While a client is attended, everything that belongs to its own goroutine
// belongs to the lobby's, and the client's own goroutine sleeps. The lock is
// never held meanwhile.
type lobby struct {
	server *Server
	// file is an epoll instance. Go's poller waits for it as for any connection,
	// so that it costs no thread.
	file     *os.File
	fd       int
	buf      [readBufferBytes]byte // no more than a requestReader takes at once
	attended []*client             // in this round

	mu     sync.Mutex
	guests map[int32]*client // by descriptor; nil: closed
}

// eventsNow and transfer are system calls that never wait, so the scheduler is
// not told of them, as it is of those in package syscall: that costs as much as
// a small answer, and wakes a thread to watch over the call.
func eventsNow(fd int, events []syscall.EpollEvent) (int, error) {
	n, _, err := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

// eventsWatched is the same told to the scheduler, which then sees to it that
// this goroutine is interrupted and the network is looked at.
func eventsWatched(fd int, events []syscall.EpollEvent) (int, error) {
	return syscall.EpollWait(fd, events, 0)
}

// transfer reads into p or writes it, what is there or fits now. p is not empty
// and fd does not block.
func transfer(call, fd uintptr, p []byte) (int, error) {
	n, _, err := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

const (
	lobbyRound = 128 // clients attended to at once
	// lobbyTurn is how many rounds are made before all others get their turn,
	// however much the clients ask.
	lobbyTurn = 64
)

func newLobby(s *Server) (*lobby, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll instance: %w", err)
	}
	// Go's poller takes only what is not going to block.
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("create epoll instance: %w", err)
	}
	return &lobby{server: s, file: os.NewFile(uintptr(fd), "lobby"), fd: fd, guests: map[int32]*client{}}, nil
}

// run attends to the guests until end is called and the server's context is
// over, and then sends all of them back.
func (l *lobby) run() {
	defer l.close()
	raw, err := l.file.SyscallConn()
	if err != nil {
		return
	}
	events := make([]syscall.EpollEvent, lobbyRound)
	// It ends by an error: the deadline that end sets.
	_ = raw.Read(func(uintptr) bool {
		for turn := 1; l.server.ctx.Err() == nil; turn++ {
			wait := eventsNow
			if turn%lobbyTurn == 0 {
				runtime.Gosched()
				wait = eventsWatched
			}
			n, err := wait(l.fd, events)
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 || err != nil {
				return false // wait for more
			}
			l.round(events[:n])
		}
		return true
	})
}

// end wakes run. The server's context must be over.
func (l *lobby) end() { _ = l.file.SetReadDeadline(time.Now()) }

func (l *lobby) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.guests {
		l.dismiss(c)
	}
	l.guests = nil
	_ = l.file.Close()
}

// enter takes a client in. It reports false if that is not possible; else the
// client's goroutine must wait for the word.
func (l *lobby) enter(c *client) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.guests == nil || c.direct.raw == nil {
		return false
	}
	if c.seat.back == nil {
		l.furnish(c)
	}
	var err error
	closed := c.direct.raw.Control(func(fd uintptr) {
		c.seat.fd = int32(fd)
		err = syscall.EpollCtl(l.fd, syscall.EPOLL_CTL_ADD, int(fd), &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: c.seat.fd})
	})
	if closed != nil || err != nil {
		return false
	}
	c.seat.stay = resting
	l.guests[c.seat.fd] = c
	return true
}

// furnish prepares a client's seat, once, so that a stay allocates nothing.
func (l *lobby) furnish(c *client) {
	s := &c.seat
	s.back = make(chan struct{}, 1)
	s.receive = func(fd uintptr) bool {
		s.n, s.err = transfer(syscall.SYS_READ, fd, l.buf[:])
		return true
	}
	s.send = func(fd uintptr) bool {
		s.n, s.err = transfer(syscall.SYS_WRITE, fd, c.w.buf)
		return true
	}
}

// round attends to all clients of whom there is news. First all are read from
// and then all are sent to: they are often woken together, and so all at once.
func (l *lobby) round(news []syscall.EpollEvent) {
	l.attended = l.attended[:0]
	for _, e := range news {
		c := l.take(e.Fd)
		if c == nil {
			continue
		}
		c.seat.stays = l.receive(c)
		l.attended = append(l.attended, c)
	}
	for i, c := range l.attended {
		l.put(c, c.seat.stays && c.send())
		l.attended[i] = nil
	}
}

// take begins to attend to the client of a descriptor. There may be none: it
// was told of before the client was cut. There may be another one since, which
// then has nothing to read and stays.
func (l *lobby) take(fd int32) *client {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.guests[fd]
	if c != nil {
		c.seat.stay = attended
	}
	return c
}

// put ends what take began.
func (l *lobby) put(c *client, stays bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if stays && c.seat.stay == attended {
		c.seat.stay = resting
		return
	}
	l.dismiss(c)
}

// receive reads what has arrived and has it answered. It reports whether the
// client may stay.
func (l *lobby) receive(c *client) bool {
	// A deadline that was set before and is over ends the stay; the client's
	// goroutine knows whether it still holds.
	if c.direct.raw.Read(c.seat.receive) != nil {
		return false
	}
	switch n, err := c.seat.n, c.seat.err; {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return true
	case err != nil || n <= 0:
		return false // the end, which is for the client's goroutine
	default:
		return c.attend(l.buf[:n])
	}
}

// send sends the answers of a client. It reports whether it took them all at
// once; what is left is for the client's goroutine.
func (c *client) send() bool {
	if len(c.w.buf) == 0 {
		return true
	}
	if c.direct.raw.Write(c.seat.send) != nil || c.seat.err != nil {
		return false
	}
	if c.seat.n < len(c.w.buf) {
		c.w.buf = c.w.buf[c.seat.n:]
		return false
	}
	c.w.buf = recycle(c.w.buf)
	return true
}

// release sends a client back to its goroutine, at once or as soon as it is no
// longer attended. It is to be called after the connection was closed, so that
// a client which enters at the same time is not forgotten.
func (l *lobby) release(c *client) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch c.seat.stay {
	case resting:
		l.dismiss(c)
	case attended:
		c.seat.stay = called
	}
}

// dismiss ends a stay. The lock is held.
func (l *lobby) dismiss(c *client) {
	// Closed connections are gone from the epoll instance by themselves, and
	// another one may have the descriptor.
	if l.guests[c.seat.fd] == c {
		delete(l.guests, c.seat.fd)
	}
	_ = c.direct.raw.Control(func(fd uintptr) {
		_ = syscall.EpollCtl(l.fd, syscall.EPOLL_CTL_DEL, int(fd), nil)
	})
	c.seat.stay = away
	c.seat.back <- struct{}{} // has room: one word for each stay
}
