// What the Node.js programs share: what they are to do, how they tell of it,
// and the two loops.
//
// The one argument is JSON: {"name", "protocol", "group", "wardens": [{"host", "port"}]}.
// Every line of output is a JSON object with a "kind":
//
//   version  text                  the library and its version, once
//   write    id, sent, done        a write was acknowledged (Unix times in ms)
//   read     id                    the value of that write was read
//   error    text                  something failed; the program goes on
//   event    text                  the library says that the servers changed
import { setTimeout as sleep } from "node:timers/promises";
import { writeSync } from "node:fs";

export const task = JSON.parse(process.argv[2]);

// A pause between two writes or reads; the time in which nothing works is what
// matters, not how much is written.
const pace = 10;

let acknowledged = 0;

export function say(kind, more) {
  writeSync(1, JSON.stringify({ kind, ...more }) + "\n");
}

export function complain(error) {
  say("error", { text: String(error) });
}

export async function write(set) {
  for (let id = 1; ; id++) {
    const sent = Date.now();
    try {
      await set(`w:${task.name}:${id}`, String(id));
      acknowledged = id;
      say("write", { id, sent, done: Date.now() });
    } catch (error) {
      complain(error);
    }
    await sleep(pace);
  }
}

// read looks for the newest acknowledged write. A replica may not have it yet.
export async function read(get) {
  for (;;) {
    const id = acknowledged;
    try {
      if (id > 0 && (await get(`w:${task.name}:${id}`)) === String(id)) {
        say("read", { id });
      }
    } catch (error) {
      complain(error);
    }
    await sleep(2 * pace);
  }
}
