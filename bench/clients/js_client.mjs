// The official JavaScript client. The same scenarios as the programs in Python, see measure.py.
// Its packages are in the directory that NATSEV_NODE names, not beside this file.

import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Readable, Writable } from 'node:stream'

const require = createRequire(process.env.NATSEV_NODE + '/')
const { connect } = require('@nats-io/transport-node')
const { jetstream } = require('@nats-io/jetstream')
const { Objm } = require('@nats-io/obj')
const { Kvm } = require('@nats-io/kv')

const WARM_UP = 0.2
const BATCH = 1000
const BATCHES = 4

const [name, url, given] = process.argv.slice(2)
const params = JSON.parse(given)
const nats = await connect({ servers: url })
const js = jetstream(nats)

class Meter {
  constructor(seconds) {
    this.over = false
    setTimeout(() => (this.over = true), seconds * 1000)
    this.start()
  }
  start() {
    this.cpu = process.cpuUsage()
    this.started = process.hrtime.bigint()
  }
  stop(count) {
    const { user, system } = process.cpuUsage(this.cpu)
    const seconds = Number(process.hrtime.bigint() - this.started) / 1e9
    return { count, seconds, cpu: (user + system) / 1e6, memory: peakMemory() }
  }
}

function peakMemory() {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
  } catch {
    return process.resourceUsage().maxRSS * 1024
  }
}

async function inWindow(meter, outstanding, call) {
  let count = 0
  const work = async () => {
    while (!meter.over) {
      await call()
      count++
    }
  }
  await Promise.all(Array.from({ length: outstanding }, work))
  return count
}

// Batches with a flush behind each, some of them outstanding, bound what is in memory.
async function pub(meter) {
  const payload = new Uint8Array(params.size)
  let count = 0
  await inWindow(meter, BATCHES, async () => {
    for (let n = 0; n < BATCH; n++) nats.publish('bench.pub', payload)
    count += BATCH
    await nats.flush()
  })
  return count
}

async function pubsub(meter) {
  let count = 0
  const subscriptions = Array.from({ length: params.subscriptions }, () =>
    nats.subscribe('bench.pub', { callback: () => count++ }),
  )
  const expected = (await pub(meter)) * params.subscriptions
  if (count !== expected) throw new Error(`${count} of ${expected} messages came`)
  for (const subscription of subscriptions) subscription.unsubscribe()
  return count
}

async function reqrep(meter) {
  const payload = new Uint8Array(params.size)
  const request = () => nats.request('bench.echo', payload, { timeout: 5000 })
  return await inWindow(meter, params.outstanding, request)
}

async function jspub(meter) {
  const payload = new Uint8Array(params.size)
  return await inWindow(meter, params.outstanding, () => js.publish('bench.js.x', payload))
}

async function fetchMessages(meter, consumerName) {
  const consumer = await js.consumers.get(params.stream, consumerName)
  let count = 0
  while (true) {
    let last
    const messages = await consumer.fetch({ max_messages: params.batch, expires: 5000 })
    for await (const message of messages) {
      count++
      last?.ack()
      last = message
    }
    if (meter.over || count >= params.messages) {
      await last.ackAck()
      return count
    }
    last.ack()
  }
}

async function consume(meter, consumerName) {
  const consumer = await js.consumers.get(params.stream, consumerName)
  const messages = await consumer.consume({ max_messages: 2 * params.batch })
  let count = 0
  for await (const message of messages) {
    count++
    if (meter.over || count >= params.messages) {
      await message.ackAck()
      break
    }
    message.ack()
  }
  messages.stop()
  return count
}

function turns(prefix, count) {
  let n = 0
  const base = count ? prefix : `${prefix}-${process.hrtime.bigint()}`
  return () => `${base}-${count ? n++ % count : n++}`
}

async function kvPut(meter) {
  const kv = await new Kvm(js).open(params.bucket)
  const value = new Uint8Array(params.size)
  const key = turns('key', params.keys)
  return await inWindow(meter, params.outstanding, () => kv.put(key(), value))
}

async function kvGet(meter) {
  const kv = await new Kvm(js).open(params.bucket)
  const key = turns('key', params.keys)
  return await inWindow(meter, params.outstanding, () => kv.get(key()))
}

const bucket = () => new Objm(js).open(params.bucket)

function data(size) {
  const piece = randomBytes(Math.min(size, 1 << 20))
  const whole = new Uint8Array(size)
  for (let at = 0; at < size; at += piece.length) whole.set(piece, at)
  return whole
}

async function objectPut(meter) {
  const store = await bucket()
  const whole = data(params.bytes)
  meter.start()
  await store.putBlob({ name: 'big' }, whole)
  return whole.length
}

async function objectGet() {
  return (await (await bucket()).getBlob('big')).length
}

async function smallPut(meter) {
  const store = await bucket()
  const payload = data(params.size)
  const next = turns('new')
  return await inWindow(meter, params.outstanding, () => store.putBlob({ name: next() }, payload))
}

async function smallGet(meter) {
  const store = await bucket()
  const next = turns('object', params.objects)
  return await inWindow(meter, params.outstanding, () => store.getBlob(next()))
}

async function objectInfo(meter) {
  const store = await bucket()
  const next = turns('object', params.objects)
  return await inWindow(meter, params.outstanding, () => store.info(next()))
}

async function objectList(meter) {
  const store = await bucket()
  let count = 0
  while (!meter.over) count += (await store.list()).length
  return count
}

async function memory() {
  const store = await bucket()
  const source = Readable.toWeb(createReadStream(params.path))
  await store.put({ name: 'file' }, source)
  const got = await store.get('file')
  await got.data.pipeTo(Writable.toWeb(createWriteStream(params.path + '.got')))
  if (await got.error) throw await got.error
  return params.bytes
}

const scenarios = {
  pub,
  pubsub,
  fanout: pubsub,
  'reqrep-1': reqrep,
  'reqrep-64': reqrep,
  jspub,
  fetch: fetchMessages,
  consume,
  'kv-put': kvPut,
  'kv-get': kvGet,
  'object-put': objectPut,
  'object-get': objectGet,
  'small-put-1': smallPut,
  'small-put-64': smallPut,
  'small-get-1': smallGet,
  'small-get-64': smallGet,
  'object-info': objectInfo,
  'object-list': objectList,
  memory,
}

const scenario = scenarios[name]
if (!params.bytes) await scenario(new Meter(WARM_UP), params.warm_consumer)
const meter = new Meter(params.seconds)
const count = await scenario(meter, params.consumer)
console.log(JSON.stringify(meter.stop(count)))
await nats.close()
