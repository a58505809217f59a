package main

import (
	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/hooks"
	"github.com/spineldb/warden/warden"
)

// startHooks makes hooks and webhooks hear of every event.
func (d *daemon) startHooks(s setup) error {
	d.webhooks = hooks.NewWebhooks(hooks.WebhookOptions{Self: d.store.Identity(), Process: d.processName(), Version: currentVersion().Version, Say: d.say})
	d.onStop("webhooks", d.webhooks.Close)
	if err := d.webhooks.Use(s.Webhooks); err != nil {
		return err
	}
	d.hooks = hooks.New(hooks.Options{
		Directory: d.shell, Self: d.store.Identity(), Process: d.processName(), Dir: s.DataDir, Say: d.say, Logger: d.log,
		Hooks: d.hooksOf, General: func() config.Hooks { return d.steward.now.Load().Hooks },
	})
	d.onStop("hooks", d.hooks.Close)
	d.heard = append(d.heard, d.hooks.Hear)
	return nil
}

// hooksOf are the hooks of a group as they are configured now.
func (d *daemon) hooksOf(name warden.GroupName) (config.Hooks, bool) {
	now := d.steward.now.Load()
	at := now.master(name)
	if at < 0 {
		return config.Hooks{}, false
	}
	return now.Masters[at].Hooks, true
}
