package resp

func pubsubCommands() []command {
	return []command{
		{name: "subscribe", arity: -2, listening: true, summary: "Listen to channels.", run: subscribe(byChannel)},
		{name: "psubscribe", arity: -2, listening: true, summary: "Listen to channels by patterns.", run: subscribe(byPattern)},
		{name: "unsubscribe", arity: -1, listening: true, summary: "Stop listening to channels.", run: unsubscribe(byChannel)},
		{name: "punsubscribe", arity: -1, listening: true, summary: "Stop listening by patterns.", run: unsubscribe(byPattern)},
	}
}

func subscribe(k subscription) func(*call) {
	return func(c *call) {
		names := c.words[1:]
		for _, name := range names {
			if len(name) > maxChannelName {
				c.fail("ERR channel name or pattern is longer than %d bytes", maxChannelName)
				return
			}
		}
		if !c.settle() {
			return
		}
		if !c.server.hub.subscribe(c.client, k, names, c.proto) {
			c.fail("ERR more than %d subscriptions on one connection: open another", maxSubscriptions)
			return
		}
		c.recheck()
	}
}

func unsubscribe(k subscription) func(*call) {
	return func(c *call) {
		if c.settle() {
			c.server.hub.unsubscribe(c.client, k, c.words[1:], c.proto)
		}
	}
}

// settle queues the answers before this one and waits for room, because the
// hub queues confirmations itself and must not wait.
func (c *call) settle() bool {
	if !c.client.flush() {
		return false
	}
	c.client.out.wait()
	return true
}
