package resp

import (
	"fmt"
	"net"
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
func transfer(call uintptr, fd int32, p []byte) (int, error) {
	n, _, err := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

const (
	lobbyRound = 128 // clients attended to at once
	// lobbyTurn is how many rounds are made before all others get their turn,
	// however much the clients ask.
	lobbyTurn = 128
	// The lobby looks in vain that often, about, before it waits: a look costs
	// little beside the waking that it may save, and a client that is asking in
	// the meantime has nobody to wake. How often that helped decides how often it
	// is tried; where clients and lobby share one processor it never does.
	leastPatience, mostPatience = 2, 32
	// After a round in which several had asked, but not many, the lobby lingers a
	// moment, so that the next round has more: who sends to many at once and hears
	// from many at once spends less on each, the clients most of all.
	several, many = 2, 24
	gather        = 4 * time.Microsecond
)

// linger passes a time too short for the scheduler and for any timer.
func linger(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}

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
	patience := leastPatience
	// It ends by an error: the deadline that end sets.
	_ = raw.Read(func(uintptr) bool {
		for rounds, vain := 1, 0; l.server.ctx.Err() == nil; {
			look := eventsNow
			if rounds%lobbyTurn == 0 && vain == 0 {
				runtime.Gosched()
				look = eventsWatched
			}
			n, err := look(l.fd, events)
			switch {
			case err == syscall.EINTR:
			case err != nil || n == 0 && vain >= patience:
				patience = max(patience/2, leastPatience)
				return false // wait for more
			case n == 0:
				vain++
			default:
				if vain > 0 {
					patience = min(2*patience, mostPatience)
				}
				vain = 0
				rounds++
				l.round(events[:n], time.Now())
				if several <= n && n < many {
					linger(gather)
				}
			}
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

// adopt makes a connection that can be in the lobby of one that cannot, if that
// is possible.
func (*lobby) adopt(conn net.Conn) net.Conn {
	if plain, ok := conn.(*net.TCPConn); ok {
		return newDetachable(plain)
	}
	return conn
}

// enter takes a client in. It reports false if that is not possible; else the
// client's goroutine must wait for the word and then call leave.
func (l *lobby) enter(c *client) bool {
	conn, ok := c.conn.(*detachable)
	if !ok {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.guests == nil {
		return false
	}
	fd, ok := conn.detach()
	if !ok {
		return false
	}
	s := &c.seat
	s.fd, s.over = int32(fd), false
	if err := syscall.EpollCtl(l.fd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: s.fd}); err != nil {
		l.leave(c)
		return false
	}
	if s.back == nil {
		s.back = make(chan struct{}, 1)
	}
	s.stay = resting
	l.guests[s.fd] = c
	return true
}

// leave gives a client's connection back to its goroutine, which calls it.
func (*lobby) leave(c *client) {
	if conn, ok := c.conn.(*detachable); ok {
		conn.attach()
		c.direct, c.armed = newDirect(conn), time.Time{}
	}
}

// round attends to all clients of whom there is news. First all are read from
// and then all are sent to: they are often woken together, and so all at once.
func (l *lobby) round(news []syscall.EpollEvent, now time.Time) {
	l.take(news)
	for _, c := range l.attended {
		c.seat.stays = l.receive(c, now)
	}
	for _, c := range l.attended {
		c.seat.stays = c.seat.stays && c.send()
	}
	l.put()
}

// take begins to attend to those of whom there is news. There may be nobody at
// a descriptor: it was told of before the client was cut. There may be another
// one since, who then has nothing to read and stays.
func (l *lobby) take(news []syscall.EpollEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range news {
		if c := l.guests[e.Fd]; c != nil {
			c.seat.stay = attended
			l.attended = append(l.attended, c)
		}
	}
}

// put ends what take began.
func (l *lobby) put() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.attended {
		if c.seat.stays && c.seat.stay == attended {
			c.seat.stay = resting
		} else {
			l.dismiss(c)
		}
	}
	clear(l.attended)
	l.attended = l.attended[:0]
}

// receive reads what has arrived and has it answered. It reports whether the
// client may stay.
func (l *lobby) receive(c *client, now time.Time) bool {
	switch n, err := transfer(syscall.SYS_READ, c.seat.fd, l.buf[:]); {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return true
	case err != nil || n == 0:
		c.seat.over = true
		return false
	default:
		return c.attend(l.buf[:n], now)
	}
}

// send sends the answers of a client. It reports whether it took them all at
// once; what is left is for the client's goroutine.
func (c *client) send() bool {
	if len(c.w.buf) == 0 {
		return true
	}
	n, err := transfer(syscall.SYS_WRITE, c.seat.fd, c.w.buf)
	if err != nil {
		return false
	}
	if n < len(c.w.buf) {
		c.w.buf = c.w.buf[n:]
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
	delete(l.guests, c.seat.fd)
	_ = syscall.EpollCtl(l.fd, syscall.EPOLL_CTL_DEL, int(c.seat.fd), nil)
	c.seat.stay = away
	c.seat.back <- struct{}{} // has room: one word for each stay
}
