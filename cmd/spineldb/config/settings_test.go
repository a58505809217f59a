package config

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: every key of a group is compared between Wardens, or is on the list of
// those that may differ; none is forgotten.
func TestSettingsAreComplete(t *testing.T) {
	may := []string{
		"name", "ip", "auth_password_file", "notification_script", "client_reconfig_script",
		// The paths of one host's files.
		"passfile", "sslrootcert", "sslcert", "sslkey", "replication_password_file",
		"check_timeline", // has one value
	}
	var have []string
	for _, m := range []Master{{Adapter: defaultAdapter}, {Adapter: AdapterPostgres}} {
		for _, s := range m.Settings() {
			have = append(have, s.Key)
		}
	}
	for _, key := range masterKeys() {
		if slices.Contains(have, key) == slices.Contains(may, key) {
			t.Errorf("%s is neither compared nor on the list of keys that may differ, or both", key)
		}
	}
}

// Goal: secrets are compared and never told.
func TestSettingsHideSecrets(t *testing.T) {
	one := Config{RequirePass: "hunter2", GossipKeys: []Secret{"abc", "d"}, Masters: []Master{{AuthPassword: "hunter3"}}}
	other := one
	other.GossipKeys = []Secret{"abc", "e"}
	text, err := json.Marshal([]any{one.Settings(), one.Masters[0].Settings()})
	if err != nil || strings.Contains(string(text), "hunter") || strings.Contains(string(text), "abc") {
		t.Errorf("%s, %v", text, err)
	}
	if !one.Settings()[0].Same(one.Settings()[0]) || one.Settings()[0].Same(other.Settings()[0]) {
		t.Error("two keys are taken for one, or one for two")
	}
	told := Setting{Key: "gossip_secret_key", Value: "set"}
	if !told.Same(one.Settings()[0]) || told.Same(Config{}.Settings()[0]) {
		t.Error("of a secret that was not told only its presence counts")
	}
}

// Goal: what is shown of a group can be read.
func TestSettingsRead(t *testing.T) {
	m := Master{
		Primary: "b:1", Nodes: []warden.NodeID{"c:1", "a:1"}, DownAfter: 5 * warden.Second, FenceCommand: []string{"/off"}, Renames: map[string]string{"CONFIG": "x"},
		Tags: map[warden.NodeID]Tags{"c:1": {NoFailover: true, Priority: 0, PrioritySet: true}, "a:1": {NoSync: true, ReplicateFrom: "c:1"}},
	}
	for key, want := range map[string]string{
		"nodes": "a:1 b:1 c:1", "down_after": "5s", "fence_command": "set", "rename_commands": "CONFIG=x",
		"tags": "a:1 nosync replicatefrom=c:1, c:1 nofailover failover_priority=0", "auth_password": "none",
	} {
		all := m.Settings()
		if i := slices.IndexFunc(all, func(s Setting) bool { return s.Key == key }); i < 0 || all[i].Value != want {
			t.Errorf("%s is not %q in %v", key, want, all)
		}
	}
}
