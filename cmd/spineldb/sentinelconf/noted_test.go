package sentinelconf

import "testing"

// Goal: the remark of what the store has noted is written once, in one place,
// is read again, and nothing that an operator remarks is taken for it.
func TestNoted(t *testing.T) {
	epochs := "sentinel config-epoch m 0\nsentinel leader-epoch m 0\nsentinel current-epoch 0\n"
	note := func(epoch uint64) func(*State) { return func(s *State) { s.Noted = epoch } }
	bare := "# mine\n" + monitorM + epochs
	first := bare + "\n" + signature + "\n" + notedRemark + "7\n"
	same(t, render(t, bare, World{}, note(7)), first)
	same(t, render(t, first, World{}, note(7)), first)
	same(t, render(t, first, World{}, note(8)), bare+"\n"+signature+"\n"+notedRemark+"8\n")
	same(t, render(t, notedRemark+"3\n"+bare+notedRemark+"9\n", World{}, note(9)), notedRemark+"9\n"+bare)
	same(t, render(t, first, World{}, note(0)), bare+"\n"+signature+"\n")
	for text, want := range map[string]uint64{
		first: 7, bare: 0, "  " + notedRemark + "12 \r\n" + bare: 12, notedRemark + "x\n" + bare: 0,
		notedRemark + "-1\n" + bare: 0, notedRemark + "5\n" + notedRemark + "4\n": 5, "x" + notedRemark: 0,
	} {
		if got := noted(splitLines([]byte(text))); got != want {
			t.Errorf("%q says that %d was noted, want %d", text, got, want)
		}
	}
}
