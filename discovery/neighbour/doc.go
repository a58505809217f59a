// Package neighbour lives beside real Redis Sentinels that watch the same
// groups: while an operator replaces one binary after another, and for as long
// as somebody wants both.
//
// A Book takes in what Sentinels publish on the nodes (__sentinel__:hello) and
// keeps, for each group, who they are and which address of the primary they
// agreed on last. It writes our own hello in their words, and answers when they
// ask whether a primary is down and for whom this Warden votes.
//
// Two deciders are never safe, so there is one rule: while a real Sentinel is
// alive, heard within Life, the Sentinels decide. Wardens answer truthfully,
// take over what was decided, and start nothing; the Book tells the live
// Sentinels (Options.Changed) and the group's mind does the rest. Our hello must
// not disturb them either: a Sentinel follows whoever names the highest
// configuration epoch, without asking for proof. So the epoch that goes with our
// address is theirs when the addresses are the same, 0 (which no Sentinel
// follows) when they have moved on and we have not, and a new one only after
// Wardens have moved the primary while no Sentinel was alive.
//
// Wardens publish such hellos too. They are told apart by their ids, which they
// announce on __warden__:hello in the same breath.
//
// While a primary is down here, the Book asks the live Sentinels whether they
// find so too, as they ask each other (Lines are the connections). That is for
// show: it asks for no vote, and decides nothing.
//
// Nothing on the channel is authenticated. Like a Sentinel, Lines log in at
// whatever address was announced there. Whoever may publish there can add a
// Sentinel that does not exist, and with it hold up the Wardens, as he can move
// the primary of real Sentinels; the servers' access rules for the channel are
// the remedy.
package neighbour
