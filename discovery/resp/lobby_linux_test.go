package resp

import "testing"

// guests counts who is in the lobby.
func guests(s *Server) int {
	s.lobby.mu.Lock()
	defer s.lobby.mu.Unlock()
	return len(s.lobby.guests)
}

// Goal: here there is a lobby, so that the other tests mean it.
func TestThereIsALobby(t *testing.T) {
	if startServer(t, newFake(), nil).lobby == nil {
		t.Error("there is none")
	}
}
