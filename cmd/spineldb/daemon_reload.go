package main

import (
	"slices"

	"github.com/spineldb/warden/cmd/spineldb/config"
)

// needRestart names the keys that differ and that a running process keeps.
func needRestart(have, want config.Config) (keys []string) {
	add := func(key string, same bool) {
		if !same {
			keys = append(keys, key)
		}
	}
	add("host", have.Host == want.Host)
	add("port", have.Port == want.Port)
	add("data_dir", have.DataDir == want.DataDir)
	add("gossip_port", have.GossipPort == want.GossipPort)
	add("join", slices.Equal(have.Join, want.Join))
	add("requirepass", have.RequirePass == want.RequirePass)
	add("acl_file", have.ACLFile == want.ACLFile)
	add("tls", have.TLS == want.TLS)
	add("http", have.HTTP == want.HTTP)
	add("events_kept", have.Past.Events == want.Past.Events)
	add("events_kept_bytes", have.Past.EventBytes == want.Past.EventBytes)
	add("reports_kept", have.Past.Reports == want.Past.Reports)
	add("maxclients", have.MaxClients == want.MaxClients)
	add("log_level", have.LogLevel == want.LogLevel)
	return keys
}
