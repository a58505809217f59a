// ioredis: one connection to the primary, one to a replica.
import { createRequire } from "node:module";
import { Redis } from "ioredis";
import { complain, read, say, task, write } from "./tell.mjs";

function connect(more) {
  const client = new Redis({
    name: task.group,
    sentinels: task.wardens,
    protocol: task.protocol,
    ...more,
  });
  client.on("error", complain);
  return client;
}

say("version", { text: "ioredis " + createRequire(import.meta.url)("ioredis/package.json").version });
const primary = connect({ connectionName: task.name + "-write" });
const replica = connect({ connectionName: task.name + "-read", role: "slave" });
write((key, value) => primary.set(key, value));
read((key) => replica.get(key));
