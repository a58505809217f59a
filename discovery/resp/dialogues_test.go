package resp

import "strings"

// Reasons for wanted differences from Redis Sentinel 7.0, in the words of
// docs/protocol.md.
const (
	becauseQuit    = "tools of all ages send it"
	becauseWarden  = "what Sentinel has no words for"
	becauseHidden  = "a user may be kept from WARDEN by its rules, not by hiding it"
	becauseValkey  = "Valkey's word, for those who come from there"
	because72      = "as Redis 7.2, the version we claim"
	becauseRefused = "what could never work, or could not be written to every file, is refused at once"
)

// wantedDifferences are the dialogues whose answers differ, and why.
var wantedDifferences = map[string]string{
	`QUIT`:          becauseQuit,
	`WARDEN STATUS`: becauseWarden,
	`COMMAND COUNT`: becauseHidden,

	`SENTINEL FAILOVER nobody x`:                                    becauseValkey,
	`SENTINEL PRIMARY mymaster`:                                     becauseValkey,
	`SENTINEL PRIMARIES`:                                            becauseValkey,
	`SENTINEL GET-PRIMARY-ADDR-BY-NAME nobody`:                      becauseValkey,
	`SENTINEL IS-PRIMARY-DOWN-BY-ADDR 127.0.0.1 1 0 *`:              becauseValkey,
	`SENTINEL SET mymaster primary-reboot-down-after-period 0`:      becauseValkey,
	`SENTINEL SET mymaster auth-pass "a\nb"`:                        becauseValkey,
	`SENTINEL MONITOR a 127.0.0.1 0 1 ;; SENTINEL REMOVE a`:         becauseRefused,
	`SENTINEL MONITOR "a b" 127.0.0.1 1 1 ;; SENTINEL REMOVE "a b"`: becauseRefused,

	`SENTINEL CONFIG GET`:                                 because72,
	`SENTINEL CONFIG FOO x`:                               because72,
	`SENTINEL CONFIG FOO x y`:                             because72,
	`SENTINEL CONFIG GET *`:                               because72,
	`SENTINEL CONFIG GET announce-* announce-ip`:          because72,
	`SENTINEL CONFIG SET announce-ip`:                     because72,
	`SENTINEL CONFIG SET loglevel notice`:                 because72,
	`SENTINEL CONFIG SET announce-port 0 announce-port 0`: because72,
	`CLIENT KILL MAXAGE 1000000`:                          "as Redis 7.4 and Valkey 8",
	`CLIENT SETINFO LIB-NAME x`:                           because72,
	`CLIENT SETINFO FOO x`:                                because72,
}

// dialogues are what the test asks. Those that change something come in an
// order that works.
var dialogues = func() []dialogue {
	var list []dialogue
	for _, part := range []struct {
		compare  string
		requests []string
	}{
		{"all", exactDialogues},
		{"keys", []string{
			"SENTINEL MASTERS", "SENTINEL MASTER mymaster", "SENTINEL REPLICAS mymaster", "SENTINEL SLAVES mymaster", "SENTINEL SENTINELS mymaster",
			"SENTINEL DEBUG", "HELLO", "HELLO 2", "HELLO 3", "HELLO 3 SETNAME x",
		}},
		{"all", longDialogues()},
		{"shape", []string{
			"SENTINEL INFO-CACHE mymaster", "SENTINEL INFO-CACHE nobody mymaster", "SENTINEL MYID", "ROLE", "CLIENT ID", "CLIENT INFO", "CLIENT LIST", "CLIENT LIST TYPE normal",
			"INFO", "INFO server", "INFO sentinel", "INFO everything", "INFO server clients",
		}},
		{"kind", []string{
			"SENTINEL HELP", "CLIENT HELP", "COMMAND HELP", "COMMAND", "COMMAND LIST", "COMMAND DOCS", "COMMAND DOCS ping", "COMMAND INFO",
		}},
	} {
		for _, r := range part.requests {
			list = append(list, dialogue{part.compare, r})
		}
	}
	return list
}()

// longDialogues are those whose errors quote a part of what was said.
func longDialogues() []string {
	long := strings.Repeat("x", 200)
	return []string{
		long, long + " a", "FOO " + long, "FOO " + long + " b", "FOO " + long[:100] + " " + long[:100] + " b", "FOO " + strings.Repeat("a ", 100),
		"FOO " + long[:124] + " b", "FOO " + long[:125] + " b", "FOO " + long[:126] + " b",
		"SENTINEL " + long, "CLIENT KILL TYPE " + long, "CLIENT " + long, "HELLO 2 " + long[:100],
		"SENTINEL SET mymaster quorum " + long[:100], "SENTINEL CONFIG SET " + long[:100] + " x", "CLIENT KILL USER " + long[:100],
		`FOO "a\x00b" c`, `"FO\x00O"`, `"F\r\nOO" "\n"`, `SENTINEL "a\r\nb"`,
	}
}

var exactDialogues = []string{
	`FOO bar baz`, `FOO`, `SELECT 0`, `CONFIG GET *`, `MULTI`, `ECHO x`, `TIME`, `RESET`, `PUBSUB CHANNELS`, `SSUBSCRIBE a`, `FOO "a\r\nb" c`,
	`"sentinel|masters"`, `QUIT`, `WARDEN STATUS`,
	`POST / HTTP/1.1 ;; PING`, `PING ;; hOST: x ;; PING`, `host x`, `GET / HTTP/1.1`,
	`PING`, `PING x`, `PING a b`, `ROLE x`, `INFO foo`, `INFO foo bar`,

	`SENTINEL`, `SENTINEL FOO`, `SENTINEL MASTERS x`, `SENTINEL MASTER`, `SENTINEL MASTER a b`, `SENTINEL MASTER nobody`, `SENTINEL MYID x`,
	`SENTINEL REPLICAS`, `SENTINEL REPLICAS nobody`, `SENTINEL SLAVES nobody`, `SENTINEL SLAVES`, `SENTINEL SENTINELS`, `SENTINEL SENTINELS nobody`,
	`SENTINEL GET-MASTER-ADDR-BY-NAME`, `SENTINEL GET-MASTER-ADDR-BY-NAME nobody`, `SENTINEL GET-MASTER-ADDR-BY-NAME mymaster`,
	`sentinel get-master-addr-by-name MYMASTER`, `SENTINEL CKQUORUM`, `SENTINEL CKQUORUM nobody`, `SENTINEL CKQUORUM mymaster`, `SENTINEL HELP x`,
	`SENTINEL RESET`, `SENTINEL RESET nobody`, `SENTINEL FAILOVER`, `SENTINEL FAILOVER nobody`, `SENTINEL FAILOVER nobody x`,
	`SENTINEL PRIMARY mymaster`, `SENTINEL PRIMARIES`, `SENTINEL GET-PRIMARY-ADDR-BY-NAME nobody`, `SENTINEL IS-PRIMARY-DOWN-BY-ADDR 127.0.0.1 1 0 *`,

	`SENTINEL SET mymaster`, `SENTINEL SET mymaster quorum`, `SENTINEL SET nobody quorum 1`, `SENTINEL SET mymaster foo 1`,
	`SENTINEL SET mymaster quorum 0`, `SENTINEL SET mymaster quorum -1`, `SENTINEL SET mymaster quorum x`, `SENTINEL SET mymaster QuoRum x`,
	`SENTINEL SET mymaster quorum 2 foo`, `SENTINEL SET mymaster quorum 2 foo 1`, `SENTINEL SET mymaster quorum 2`,
	`SENTINEL SET mymaster down-after-milliseconds -1`, `SENTINEL SET mymaster down-after-milliseconds 60000 quorum 2`,
	`SENTINEL SET mymaster failover-timeout 0`, `SENTINEL SET mymaster parallel-syncs 0`, `SENTINEL SET mymaster parallel-syncs 01`,
	`SENTINEL SET mymaster notification-script /bin/true`, `SENTINEL SET mymaster client-reconfig-script /bin/true`,
	`SENTINEL SET mymaster auth-pass ""`, `SENTINEL SET mymaster auth-pass "a\nb"`, `SENTINEL SET mymaster auth-user ""`, `SENTINEL SET mymaster rename-command GET`,
	`SENTINEL SET mymaster rename-command "" x`, `SENTINEL SET mymaster rename-command x ""`, `SENTINEL SET mymaster rename-command GET GETX`,
	`SENTINEL SET mymaster rename-command GET GET`, `SENTINEL SET mymaster master-reboot-down-after-period -1`,
	`SENTINEL SET mymaster master-reboot-down-after-period 0`, `SENTINEL SET mymaster master-reboot-down-after-period x`,
	`SENTINEL SET mymaster primary-reboot-down-after-period 0`,

	`SENTINEL MONITOR a b c`, `SENTINEL MONITOR a 127.0.0.1 x x`, `SENTINEL MONITOR a 127.0.0.1 x 1`, `SENTINEL MONITOR a 127.0.0.1 1 0`,
	`SENTINEL MONITOR a 127.0.0.1 1 -1`, `SENTINEL MONITOR a nowhere.invalid 1 1`, `SENTINEL MONITOR mymaster 127.0.0.1 1 1`,
	`SENTINEL MONITOR mymaster nowhere.invalid 99999 1`, `SENTINEL MONITOR mymaster 127.0.0.1 99999 1`,
	`SENTINEL MONITOR a 127.0.0.1 99999 1`, `SENTINEL MONITOR a 127.0.0.1 -1 1`, `SENTINEL MONITOR a 127.0.0.1 0 1 ;; SENTINEL REMOVE a`,
	`SENTINEL MONITOR other 127.0.0.1 1 1 ;; SENTINEL CKQUORUM other ;; SENTINEL REMOVE other ;; SENTINEL REMOVE other`,
	`SENTINEL MONITOR "a b" 127.0.0.1 1 1 ;; SENTINEL REMOVE "a b"`, `SENTINEL REMOVE nobody`, `SENTINEL REMOVE`,

	`SENTINEL CONFIG`, `SENTINEL CONFIG GET`, `SENTINEL CONFIG FOO x`, `SENTINEL CONFIG FOO x y`, `SENTINEL CONFIG GET *`, `SENTINEL CONFIG GET foo`,
	`SENTINEL CONFIG GET announce-*`, `SENTINEL CONFIG GET ANNOUNCE-port`, `SENTINEL CONFIG GET announce-* announce-ip`, `SENTINEL CONFIG SET announce-ip`,
	`SENTINEL CONFIG SET foo bar`, `SENTINEL CONFIG SET announce-port x`, `SENTINEL CONFIG SET announce-port 70000`, `SENTINEL CONFIG SET announce-port -1`,
	`SENTINEL CONFIG SET resolve-hostnames maybe`, `SENTINEL CONFIG SET RESOLVE-hostnames no`, `SENTINEL CONFIG SET announce-port 0`,
	`SENTINEL CONFIG SET loglevel notice`, `SENTINEL CONFIG SET announce-port 0 announce-port 0`,

	`SENTINEL FLUSHCONFIG`, `SENTINEL FLUSHCONFIG x`, `SENTINEL INFO-CACHE`, `SENTINEL INFO-CACHE nobody`, `SENTINEL PENDING-SCRIPTS`, `SENTINEL PENDING-SCRIPTS x`,
	`SENTINEL SIMULATE-FAILURE`, `SENTINEL SIMULATE-FAILURE foo`, `SENTINEL SIMULATE-FAILURE help`, `SENTINEL SIMULATE-FAILURE crash-after-election help`,
	`SENTINEL SIMULATE-FAILURE crash-after-election crash-after-promotion ;; SENTINEL SIMULATE-FAILURE HELP`,
	`SENTINEL DEBUG info-period`, `SENTINEL DEBUG foo 1`, `SENTINEL DEBUG info-period x`, `SENTINEL DEBUG info-period 0`,
	`SENTINEL DEBUG INFO-period 10000`, `SENTINEL DEBUG info-period 10000 foo`, `SENTINEL DEBUG info-period 10000 tilt-period 30000`,
	`SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0`, `SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 *`, `SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 0 *`,
	`SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 x *`, `SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 99999999999999 0 *`,
	`SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 -1 *`, `SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 99999999999999999999 0 *`,

	`PUBLISH foo bar`, `PUBLISH __sentinel__:hello bar`, `PUBLISH foo`, `SHUTDOWN ABORT`, `SHUTDOWN FOO`, `SHUTDOWN SAVE NOSAVE`, `SHUTDOWN ABORT NOW`,
	`SHUTDOWN a b c d e`, `AUTH`, `AUTH x`, `AUTH x y z`, `AUTH x y`, `HELLO 4`, `HELLO x`, `HELLO 2 foo`, `HELLO 2 AUTH x`, `HELLO 2 SETNAME "a b"`,
	`HELLO 99999999999999999999`, `HELLO 2 SETNAME`,

	`CLIENT`, `CLIENT FOO`, `CLIENT HELP x`, `CLIENT CACHING`, `CLIENT CACHING YES`, `CLIENT CACHING FOO`, `CLIENT GETNAME`, `CLIENT GETNAME x`, `CLIENT GETREDIR`,
	`CLIENT ID x`, `CLIENT INFO x`, `CLIENT KILL`, `CLIENT KILL foo`, `CLIENT KILL 1.2.3.4:5`, `CLIENT KILL ID`, `CLIENT KILL ID x`, `CLIENT KILL ID 0`,
	`CLIENT KILL ID 999999`, `CLIENT KILL ID 999999 ADDR`, `CLIENT KILL TYPE foo`, `CLIENT KILL TYPE replica`, `CLIENT KILL TYPE master`,
	`CLIENT KILL USER nobody`, `CLIENT KILL USER default ID 99999`, `CLIENT KILL SKIPME foo`, `CLIENT KILL SKIPME yes ID 99999`, `CLIENT KILL MAXAGE 1000000`,
	`CLIENT KILL FOO bar`, `CLIENT KILL LADDR 1.2.3.4:5 ADDR 1.1.1.1:1`, `CLIENT KILL ID 1 FOO`, `CLIENT KILL ""`,
	`CLIENT LIST foo`, `CLIENT LIST TYPE`, `CLIENT LIST TYPE foo`, `CLIENT LIST TYPE pubsub`, `CLIENT LIST ID`, `CLIENT LIST ID x`, `CLIENT LIST ID 0`,
	`CLIENT LIST ID 99999 99998`, `CLIENT LIST TYPE normal x`, `CLIENT NO-EVICT`, `CLIENT NO-EVICT foo`, `CLIENT NO-EVICT on`, `CLIENT NO-TOUCH ON`,
	`CLIENT MAINT_NOTIFICATIONS ON`, `CLIENT PAUSE`, `CLIENT PAUSE x`, `CLIENT PAUSE -1`, `CLIENT PAUSE 10 FOO`, `CLIENT PAUSE x FOO`, `CLIENT PAUSE 10 WRITE`,
	`CLIENT PAUSE 0 ALL`, `CLIENT PAUSE 10 ALL x`, `CLIENT PAUSE 99999999999999999999`, `CLIENT UNPAUSE`, `CLIENT UNPAUSE x`, `CLIENT REPLY`, `CLIENT REPLY foo`,
	`CLIENT REPLY ON`, `CLIENT REPLY OFF ;; PING ;; FOO ;; CLIENT REPLY ON ;; PING`, `CLIENT REPLY SKIP ;; PING ;; PING`,
	`CLIENT REPLY SKIP ;; CLIENT REPLY SKIP ;; PING ;; PING`, `CLIENT REPLY SKIP ;; CLIENT REPLY ON ;; PING`, `CLIENT REPLY OFF ;; SUBSCRIBE a ;; UNSUBSCRIBE a ;; CLIENT REPLY ON ;; PING`,
	`CLIENT SETINFO LIB-NAME x`, `CLIENT SETINFO FOO x`, `CLIENT SETNAME "a b"`, `CLIENT SETNAME x ;; CLIENT GETNAME ;; CLIENT SETNAME "" ;; CLIENT GETNAME`,
	`CLIENT TRACKING`, `CLIENT TRACKING FOO`, `CLIENT TRACKING ON`, `CLIENT TRACKING OFF`, `CLIENT TRACKING ON FOO`,
	`CLIENT TRACKING ON ;; CLIENT TRACKINGINFO ;; CLIENT GETREDIR ;; CLIENT CACHING YES ;; CLIENT CACHING NO ;; CLIENT CACHING FOO`,
	`CLIENT TRACKING ON OPTIN ;; CLIENT TRACKINGINFO ;; CLIENT CACHING YES ;; CLIENT TRACKINGINFO ;; CLIENT CACHING NO`,
	`CLIENT TRACKING ON OPTOUT ;; CLIENT CACHING YES ;; CLIENT CACHING NO ;; CLIENT TRACKINGINFO`,
	`CLIENT TRACKING ON OPTIN OPTOUT`, `CLIENT TRACKING ON REDIRECT`, `CLIENT TRACKING ON REDIRECT 99999`, `CLIENT TRACKING ON REDIRECT x`,
	`CLIENT TRACKING ON PREFIX a`, `CLIENT TRACKING ON BCAST PREFIX a PREFIX ab`, `CLIENT TRACKING ON BCAST ;; CLIENT TRACKING ON ;; CLIENT TRACKINGINFO`,
	`CLIENT TRACKING ON BCAST PREFIX a ;; CLIENT TRACKING ON BCAST PREFIX ab ;; CLIENT TRACKINGINFO ;; CLIENT TRACKING OFF ;; CLIENT TRACKINGINFO`,
	`CLIENT TRACKING ON BCAST OPTIN`, `CLIENT TRACKING ON OPTIN ;; CLIENT TRACKING ON OPTOUT`, `CLIENT TRACKING ON NOLOOP ;; CLIENT TRACKINGINFO`,
	`CLIENT TRACKINGINFO`, `CLIENT TRACKINGINFO x`, `CLIENT UNBLOCK`, `CLIENT UNBLOCK x`, `CLIENT UNBLOCK 99999`, `CLIENT UNBLOCK 99999 FOO`,
	`CLIENT UNBLOCK x FOO`, `CLIENT UNBLOCK 99999 ERROR`, `CLIENT UNBLOCK 99999 ERROR x`,

	`COMMAND FOO`, `COMMAND COUNT`, `COMMAND COUNT x`, `COMMAND LIST x`, `COMMAND LIST FILTERBY`, `COMMAND LIST FILTERBY MODULE x`, `COMMAND LIST FILTERBY ACLCAT foo`,
	`COMMAND LIST FILTERBY FOO x`, `COMMAND LIST FILTERBY PATTERN pi*`, `COMMAND LIST FILTERBY PATTERN PI*`, `COMMAND LIST FILTERBY PATTERN sentinel|masters`,
	`COMMAND LIST FILTERBY PATTERN p* x`, `COMMAND GETKEYS`, `COMMAND GETKEYS GET x`, `COMMAND GETKEYS PING`, `COMMAND GETKEYS PING a b`,
	`COMMAND GETKEYS SENTINEL MASTERS`, `COMMAND GETKEYSANDFLAGS PING`, `COMMAND GETKEYSANDFLAGS PING a`, `COMMAND GETKEYS SENTINEL FOO`,
	`COMMAND DOCS foo`, `COMMAND HELP x`,
	`COMMAND INFO foo ping`, `COMMAND INFO auth hello info role shutdown publish subscribe psubscribe unsubscribe punsubscribe`,
	`COMMAND INFO sentinel|master sentinel|help sentinel|set client|id client|list client|info client|kill client|help client|reply`,
	`COMMAND INFO acl|whoami acl|list acl|cat acl|setuser acl|help acl|log acl|dryrun acl|genpass`,
	`COMMAND INFO command|count command|help command|list command|docs command|info command|getkeys`,

	`SUBSCRIBE`, `SUBSCRIBE a ;; SENTINEL MASTER nobody ;; PING ;; GET x ;; CLIENT ID x ;; UNSUBSCRIBE ;; PING`, `UNSUBSCRIBE`, `PUNSUBSCRIBE x`,
	`PSUBSCRIBE a* b ;; SUBSCRIBE c ;; PUNSUBSCRIBE a* ;; PING x ;; UNSUBSCRIBE ;; PUNSUBSCRIBE`,
}
