package embeddednode

func (n *Node) cmdSubscribe(c *client, args []string) []byte {
	var reply []byte
	for _, channel := range args {
		if n.subs[channel] == nil {
			n.subs[channel] = map[*client]bool{}
		}
		n.subs[channel][c] = true
		c.channels[channel] = true
		reply = appendChange(reply, "subscribe", channel, len(c.channels))
	}
	return reply
}

func (n *Node) cmdUnsubscribe(c *client, args []string) []byte {
	if len(args) == 0 {
		for channel := range c.channels {
			args = append(args, channel)
		}
	}
	var reply []byte
	for _, channel := range args {
		n.unsubscribe(c, channel)
		reply = appendChange(reply, "unsubscribe", channel, len(c.channels))
	}
	return reply
}

// unsubscribe takes a client off a channel. n.mu must be held.
func (n *Node) unsubscribe(c *client, channel string) {
	delete(c.channels, channel)
	delete(n.subs[channel], c)
	if len(n.subs[channel]) == 0 {
		delete(n.subs, channel)
	}
}

func appendChange(b []byte, what, channel string, count int) []byte {
	b = appendLen(b, 3)
	b = appendBulk(appendBulk(b, what), channel)
	return appendInt(b, int64(count))
}

func (n *Node) cmdPublish(_ *client, args []string) []byte {
	message := appendCommand(nil, "message", args[0], args[1])
	for c := range n.subs[args[0]] {
		c.out.put(message)
	}
	return appendInt(nil, int64(len(n.subs[args[0]])))
}
