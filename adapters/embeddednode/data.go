package embeddednode

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// enginePort is how commands enter miniredis: a peer that writes into a buffer.
type enginePort struct {
	out  bytes.Buffer
	w    *bufio.Writer
	peer *server.Peer
}

// writes are the commands that change data. Each gives the same result on a
// replica; random, blocking and clock-driven ones are left out.
var writes = words(`SET SETNX SETEX PSETEX MSET MSETNX GETSET GETDEL APPEND SETRANGE SETBIT BITOP
	INCR INCRBY INCRBYFLOAT DECR DECRBY DEL UNLINK EXPIRE EXPIREAT PEXPIRE PEXPIREAT PERSIST RENAME RENAMENX
	COPY HSET HMSET HSETNX HDEL HINCRBY HINCRBYFLOAT LPUSH LPUSHX RPUSH RPUSHX LPOP RPOP LSET LREM LTRIM
	LINSERT RPOPLPUSH LMOVE SADD SREM SMOVE SDIFFSTORE SINTERSTORE SUNIONSTORE ZADD ZINCRBY ZREM
	ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZPOPMIN ZPOPMAX ZUNIONSTORE ZINTERSTORE FLUSHALL FLUSHDB`)

// harmless are further commands of miniredis that only read, or do nothing.
var harmless = words(`PING ECHO TIME`)

func words(text string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(text) {
		set[w] = true
	}
	return set
}

func newEngine() (*engine, error) {
	db := miniredis.NewMiniRedis()
	// A connection that is never used: it starts miniredis without a listener.
	conn, err := db.Dial()
	if err != nil {
		return nil, fmt.Errorf("start the data engine: %w", err)
	}
	conn.Close()
	port := &enginePort{}
	port.w = bufio.NewWriter(&port.out)
	port.peer = server.NewPeer(port.w)
	return &engine{db: db, port: port}, nil
}

func (e *engine) close() { e.db.Close() }

// knows reports whether a data command exists, and whether it writes.
func (e *engine) knows(command string) (known, write bool) {
	if writes[command] {
		return true, true
	}
	streams := strings.HasPrefix(command, "X") // some of them block
	return harmless[command] || !streams && e.db.IsReadOnlyCommand(command), false
}

// do carries out one data command and returns the encoded reply, which is only
// valid until the next call.
func (e *engine) do(args []string) []byte {
	// With its clock on, miniredis looks at every key for each command. It is
	// off until a key is to expire, so that a filling node stays fast.
	if !e.mortal && givesTTL(args) {
		e.mortal = true
		e.db.ClockTTL(true)
	}
	e.port.out.Reset()
	e.db.Server().Dispatch(e.port.peer, args)
	e.port.peer.Flush()
	return e.port.out.Bytes()
}

// givesTTL reports whether a command may limit the life of a key.
func givesTTL(args []string) bool {
	switch strings.ToUpper(args[0]) {
	case "SETEX", "PSETEX", "EXPIRE", "EXPIREAT", "PEXPIRE", "PEXPIREAT":
		return true
	case "SET":
		return len(args) > 3
	}
	return false
}

// size is the number of keys.
func (e *engine) size() int { return len(e.db.Keys()) }

// snapshot encodes the whole data as commands that make it anew.
func (e *engine) snapshot() []byte {
	var b []byte
	for _, key := range e.db.Keys() {
		command, values := e.contents(key)
		// In parts, so that no command grows past what a reader takes.
		for part := range slices.Chunk(values, 128) {
			b = appendCommand(b, append([]string{command, key}, part...)...)
		}
		if ttl := e.db.TTL(key); ttl > 0 && len(values) > 0 {
			at := time.Now().Add(ttl).UnixMilli()
			b = appendCommand(b, "PEXPIREAT", key, strconv.FormatInt(at, 10))
		}
	}
	return b
}

// contents are the values of a key and the command that writes them. A key
// that vanishes meanwhile has none.
func (e *engine) contents(key string) (command string, values []string) {
	switch e.db.Type(key) {
	case "string":
		if v, err := e.db.Get(key); err == nil {
			values = []string{v}
		}
		return "SET", values
	case "hash":
		fields, err := e.db.HKeys(key)
		if err != nil {
			return "HSET", nil
		}
		for _, f := range fields {
			values = append(values, f, e.db.HGet(key, f))
		}
		return "HSET", values
	case "list":
		values, _ = e.db.List(key) // a key of this type
		return "RPUSH", values
	case "set":
		values, _ = e.db.SMembers(key) // a key of this type
		return "SADD", values
	case "zset":
		scores, _ := e.db.SortedSet(key) // a key of this type
		for member, score := range scores {
			values = append(values, strconv.FormatFloat(score, 'g', -1, 64), member)
		}
		return "ZADD", values
	}
	return "", nil
}

// restore replaces the data by what a snapshot makes.
func (e *engine) restore(snapshot []byte) error {
	e.db.FlushAll()
	r := bufio.NewReaderSize(bytes.NewReader(snapshot), lineSize)
	for {
		if _, err := r.Peek(1); err != nil {
			return nil // the end
		}
		args, err := readCommand(r)
		if err != nil {
			return fmt.Errorf("read snapshot: %w", err)
		}
		if len(args) == 0 || !writes[args[0]] {
			return fmt.Errorf("read snapshot: %w", errProtocol)
		}
		if reply := e.do(args); bytes.HasPrefix(reply, []byte("-")) {
			return fmt.Errorf("read snapshot: %s is refused: %s", args[0], bytes.TrimSpace(reply))
		}
	}
}
