package sentinelconf

import (
	"strconv"
	"strings"
)

// notedRemark begins the one remark that is the program's own besides the
// signature: the highest epoch that the store beside the file has noted. A
// store that knows less than the file says of it is from an earlier day. It is
// a remark because a Sentinel that takes the file over keeps remarks and
// raises epochs, and its epochs say nothing of our store.
const notedRemark = "# Warden: the store beside this file has noted epoch "

// notedIn reads the remark.
func notedIn(line string) (epoch uint64, ok bool) {
	text, ok := strings.CutPrefix(strings.TrimSpace(line), notedRemark)
	if !ok {
		return 0, false
	}
	epoch, err := strconv.ParseUint(text, 10, 64)
	return epoch, err == nil
}

// noted is the highest epoch that the lines say was noted, 0 for none.
func noted(lines []string) (highest uint64) {
	for _, line := range lines {
		if epoch, ok := notedIn(line); ok {
			highest = max(highest, epoch)
		}
	}
	return highest
}

// note puts the remark where it stands already, else first among what is added.
func (r *rendering) note(lines []string, epoch uint64) {
	done := epoch == 0
	for i, line := range lines {
		have, ok := notedIn(line)
		switch {
		case !ok:
		case done:
			r.removed[i] = true
		default:
			done = true
			if have != epoch {
				r.changed[i] = notedLine(epoch)
			}
		}
	}
	if !done {
		r.added = append([]string{notedLine(epoch)}, r.added...)
	}
}

func notedLine(epoch uint64) string { return notedRemark + strconv.FormatUint(epoch, 10) }
