package wording

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"quorum", "down_after", "crash_after", "port", "name", "ip"}
	for word, want := range map[string]string{
		"qourum": "quorum", "Quorum": "quorum", "down_afer": "down_after", "prot": "port", "nmae": "name",
		"down-after": "down_after", "banana": "", "xyz": "",
	} {
		if got := Nearest(word, words); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
	if d := editDistance("kitten", "sitting"); d != 3 {
		t.Errorf("kitten to sitting: %d, want 3", d)
	}
}
