package warden

// MatchGlob reports whether s matches a Redis pattern: * and ?, classes such as
// [a-c], [^x] and [-+], and \ before a character that shall mean itself. Bytes
// are compared, case matters. It takes at most len(pattern)*len(s) steps, so a
// client's pattern cannot keep the publisher busy.
//
// Corners are as in Redis: a class without its bracket reaches to the end of
// the pattern, and in "[+-]" the minus makes a range up to the bracket.
func MatchGlob(pattern, s string) bool {
	p, i := 0, 0
	afterStar, from := -1, 0 // where to go on when the last * takes one more
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			afterStar, from = p, i
			continue
		}
		if p < len(pattern) {
			if ok, width := matchByte(pattern[p:], s[i]); ok {
				p += width
				i++
				continue
			}
		}
		if afterStar < 0 {
			return false
		}
		from++
		p, i = afterStar, from
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchByte matches c with the first element of a pattern that is not empty
// and does not begin with *. width is the size of that element.
func matchByte(pattern string, c byte) (ok bool, width int) {
	switch {
	case pattern[0] == '?':
		return true, 1
	case pattern[0] == '[':
		return matchClass(pattern, c)
	case pattern[0] == '\\' && len(pattern) > 1:
		return pattern[1] == c, 2
	}
	return pattern[0] == c, 1
}

func matchClass(pattern string, c byte) (ok bool, width int) {
	i := 1
	not := i < len(pattern) && pattern[i] == '^'
	if not {
		i++
	}
	found := false
	for i < len(pattern) {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			found = found || pattern[i+1] == c
			i += 2
		case pattern[i] == ']':
			return found != not, i + 1
		case i+2 < len(pattern) && pattern[i+1] == '-':
			low, high := pattern[i], pattern[i+2]
			if low > high {
				low, high = high, low
			}
			found = found || c >= low && c <= high
			i += 3
		default:
			found = found || pattern[i] == c
			i++
		}
	}
	return found != not, i
}
