package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// HideUser makes one text of the words of an ACL user, "NAME RULE...", in which
// every password is replaced by its SHA-256: ">secret" by "#<64 digits>" and
// "<secret" by "!<64 digits>". So the text may be logged and kept, and no word
// of it contains a blank. What the rules mean is not checked. The error never
// contains a rule.
func HideUser(words []string) (string, error) {
	if len(words) == 0 || words[0] == "" {
		return "", errors.New("the name is missing: write NAME RULE...")
	}
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w
		if i > 0 && w != "" && (w[0] == '>' || w[0] == '<') {
			sum := sha256.Sum256([]byte(w[1:]))
			out[i] = map[byte]string{'>': "#", '<': "!"}[w[0]] + hex.EncodeToString(sum[:])
		}
		if out[i] == "" || strings.ContainsAny(out[i], " \t\r\n\v\f\x00") {
			return "", fmt.Errorf("rule %d is empty or contains a blank: only a password may contain blanks, and it begins with '>'", i)
		}
	}
	return strings.Join(out, " "), nil
}
