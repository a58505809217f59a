// node-redis: one client, which sends reads to the replicas by itself.
import { createRequire } from "node:module";
import { createSentinel } from "redis";
import { complain, read, say, task, write } from "./tell.mjs";

say("version", { text: "node-redis " + createRequire(import.meta.url)("redis/package.json").version });
const client = createSentinel({
  name: task.group,
  sentinelRootNodes: task.wardens,
  RESP: task.protocol,
  replicaPoolSize: 1,
  nodeClientOptions: { name: task.name + "-read" },
});
client.on("error", complain);
client.on("client-error", (event) => complain(event.error ?? JSON.stringify(event)));
client.on("topology-change", (event) => say("event", { text: JSON.stringify(event) }));
await client.connect();
write((key, value) => client.set(key, value));
read((key) => client.get(key));
