// Package journal writes the log as Redis Sentinel does, for the tools that
// operators have built on it: one line per record,
//
//	<pid>:X <dd Mon yyyy hh:mm:ss.mmm> <c> <message>
//
// in local time, where c is "." for debug, "-" for verbose, "*" for notice and
// "#" for warnings. An event is "<event> <payload>" and nothing else; any other
// record is its message with its attributes as key=value behind it.
//
// A log file is opened anew for every line, as Redis does, so that whoever
// renames it to start a new one (logrotate) needs to tell nobody.
package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// The levels of Sentinel as those of slog.
const (
	Debug   = slog.LevelDebug
	Verbose = slog.LevelDebug + 2
	Notice  = slog.LevelInfo
	Warning = slog.LevelWarn
	// Nothing is above all that is ever logged.
	Nothing = slog.LevelError + 4
)

// levels are the words of loglevel.
var levels = []struct {
	word  string
	level slog.Level
}{{"debug", Debug}, {"verbose", Verbose}, {"notice", Notice}, {"warning", Warning}, {"nothing", Nothing}}

// ParseLevel reads a word of loglevel, in any case.
func ParseLevel(word string) (slog.Level, error) {
	for _, l := range levels {
		if strings.EqualFold(word, l.word) {
			return l.level, nil
		}
	}
	return 0, fmt.Errorf("read loglevel: %q is none of debug, verbose, notice, warning and nothing", word)
}

// LevelWord is the word for a level. One between two words gets the lower: with
// it more is written, not less.
func LevelWord(level slog.Level) string {
	word := levels[0].word
	for _, l := range levels {
		if l.level <= level {
			word = l.word
		}
	}
	return word
}

// Options say where the log goes.
type Options struct {
	// File is appended to; empty: Output. A relative path is one of the
	// directory that the process is in when it writes.
	File string
	// Output is where lines go without File. Default: the standard output.
	Output io.Writer
	// Level is the least that is written. Default: Notice.
	Level slog.Leveler
	// Syslog: write to the system's log too, with the identity and the facility
	// named, by default "redis" and "local0".
	Syslog                      bool
	SyslogIdent, SyslogFacility string

	now          func() time.Time
	syslogSocket string // empty: where the system has it
}

// Journal is a slog.Handler. Safe for concurrent use.
type Journal struct {
	*sink
	// group is what stands before the keys of attributes, "a.b.".
	group string
	// attrs are those of the logger, written out.
	attrs string
	// payload is that of an event, when the logger carries one.
	payload *string
}

var _ slog.Handler = (*Journal)(nil)

// sink is what a Journal and those derived from it share.
type sink struct {
	options Options
	prefix  string
	mu      sync.Mutex // so that lines of a pipe do not mix
	system  systemLog
}

// systemLog is a connection to syslog.
type systemLog interface {
	write(level slog.Level, message string) error
	close() error
}

// Open finds out whether the log can be written, and leaves nothing open but
// the connection to syslog. A system without syslog is no error, as in Redis.
func Open(o Options) (*Journal, error) {
	if o.Output == nil {
		o.Output = os.Stdout
	}
	if o.Level == nil {
		o.Level = Notice
	}
	if o.now == nil {
		o.now = time.Now
	}
	s := &sink{options: o, prefix: strconv.Itoa(os.Getpid()) + ":X "}
	if o.File != "" {
		f, err := openFile(o.File)
		if err != nil {
			return nil, fmt.Errorf("open log file (logfile): %w: make its directory, and let this user write there", err)
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("open log file (logfile): %w", err)
		}
	}
	if o.Syslog {
		system, err := openSyslog(o)
		if err != nil {
			return nil, err
		}
		s.system = system
	}
	return &Journal{sink: s}, nil
}

// Close ends the connection to syslog. Lines go on being written to the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.system == nil {
		return nil
	}
	system := j.system
	j.system = nil
	return system.close()
}

// Enabled reports whether a level is written at all.
func (j *Journal) Enabled(_ context.Context, level slog.Level) bool {
	return level >= j.options.Level.Level() && level < Nothing
}

// Handle writes one line. An error says that it is lost.
func (j *Journal) Handle(_ context.Context, r slog.Record) error {
	message := j.message(r)
	line := j.prefix + j.options.now().Format("02 Jan 2006 15:04:05.000") + " " + mark(r.Level) + " " + message + "\n"
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.write(line)
	if j.system != nil {
		err = errors.Join(err, j.system.write(r.Level, message))
	}
	return err
}

// WithAttrs writes attributes into every line from then on.
func (j *Journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	derived := *j
	var b strings.Builder
	b.WriteString(j.attrs)
	for _, a := range attrs {
		derived.add(&b, derived.group, a)
	}
	derived.attrs = b.String()
	return &derived
}

// WithGroup puts a name before the keys of the attributes to come.
func (j *Journal) WithGroup(name string) slog.Handler {
	derived := *j
	if name != "" {
		derived.group += name + "."
	}
	return &derived
}

// message is the line without what stands before it.
func (j *Journal) message(r slog.Record) string {
	one := *j
	var b strings.Builder
	b.WriteString(j.attrs)
	r.Attrs(func(a slog.Attr) bool {
		one.add(&b, one.group, a)
		return true
	})
	if one.payload != nil && (strings.HasPrefix(r.Message, "+") || strings.HasPrefix(r.Message, "-")) {
		return plain(strings.TrimRight(r.Message+" "+*one.payload, " "))
	}
	return plain(r.Message + b.String())
}

// add writes an attribute, and notes the payload of an event.
func (j *Journal) add(b *strings.Builder, group string, a slog.Attr) {
	value := a.Value.Resolve()
	switch {
	case a.Equal(slog.Attr{}):
		return
	case value.Kind() == slog.KindGroup:
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range value.Group() {
			j.add(b, group, inner)
		}
		return
	}
	text := value.String()
	if a.Key == "payload" && group == "" {
		payload := text
		j.payload = &payload
	}
	if text == "" || strings.ContainsAny(text, " \"=") {
		text = strconv.Quote(text)
	}
	b.WriteString(" " + group + a.Key + "=" + text)
}

// plain keeps a message in one line, and terminals from being told things.
func plain(message string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, message)
}

func mark(level slog.Level) string {
	switch {
	case level < Verbose:
		return "."
	case level < Notice:
		return "-"
	case level < Warning:
		return "*"
	}
	return "#"
}

// write appends one line. The lock is held.
func (s *sink) write(line string) error {
	if s.options.File == "" {
		if _, err := io.WriteString(s.options.Output, line); err != nil {
			return fmt.Errorf("write log: %w", err)
		}
		return nil
	}
	f, err := openFile(s.options.File)
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	_, err = f.WriteString(line)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	return nil
}

// openFile leaves who may read it to the umask, as Redis does.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
}
