"""redis-py: one client for the primary, one for the replicas.

The one argument and the lines of output are those of node/tell.mjs.
"""

import json
import sys
import threading
import time

import redis
from redis.sentinel import Sentinel

PACE = 0.01  # seconds between two writes

task = json.loads(sys.argv[1])
name = task["name"]
lock = threading.Lock()
acknowledged = 0


def say(kind, **more):
    with lock:
        print(json.dumps({"kind": kind, **more}), flush=True)


def now():
    return int(time.time() * 1000)


def write(client):
    global acknowledged
    number = 0
    while True:
        number += 1
        sent = now()
        try:
            client.set(f"w:{name}:{number}", number)
            acknowledged = number
            say("write", id=number, sent=sent, done=now())
        except redis.RedisError as error:
            say("error", text=f"{type(error).__name__}: {error}")
        time.sleep(PACE)


def read(client):
    while True:
        number = acknowledged
        try:
            if number and client.get(f"w:{name}:{number}") == str(number):
                say("read", id=number)
        except redis.RedisError as error:
            say("error", text=f"{type(error).__name__}: {error}")
        time.sleep(2 * PACE)


say("version", text="redis-py " + redis.__version__)
wardens = Sentinel([(w["host"], w["port"]) for w in task["wardens"]], socket_timeout=0.5)
options = {"socket_timeout": 0.5, "decode_responses": True}
reader = threading.Thread(
    target=read, args=(wardens.slave_for(task["group"], client_name=name + "-read", **options),)
)
reader.start()
write(wardens.master_for(task["group"], client_name=name + "-write", **options))
