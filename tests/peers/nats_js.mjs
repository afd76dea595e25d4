// The peer that is the official JavaScript client.
// Its packages are in the directory that NATSEV_NODE names, not beside this file.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(process.env.NATSEV_NODE + '/')
const { connect, headers: makeHeaders } = require('@nats-io/transport-node')
const { Objm } = require('@nats-io/obj')
const { jetstream } = require('@nats-io/jetstream')
const { Kvm } = require('@nats-io/kv')
const { Svcm } = require('@nats-io/services')

const client = await connect({ servers: process.argv[2] })
const objm = new Objm(client)
const kvm = new Kvm(client)
const svcm = new Svcm(client)
let service
const watches = []

const encode = (bytes) => Buffer.from(bytes ?? []).toString('base64')
const decode = (text) => new Uint8Array(Buffer.from(text, 'base64'))

function plain(info) {
  const { name, description, metadata, bucket, nuid, size, chunks, digest, deleted, mtime } = info
  const options = info.options
  // A watch gives the headers as they are on the wire, all else as an object.
  const headers = info.headers?.toRecord?.() ?? info.headers ?? {}
  return { name, description, metadata, bucket, nuid, size, chunks, digest, deleted, mtime, headers, options }
}

function plainEntry(entry) {
  return { key: entry.key, value: encode(entry.value), revision: entry.revision, op: entry.operation }
}

function wireHeaders(pairs) {
  const made = makeHeaders()
  for (const [key, values] of Object.entries(pairs)) {
    for (const value of values) made.append(key, value)
  }
  return made
}

// Gathers the events of a watch until somebody asks for them.
function gather(iterator, shape) {
  const watch = { events: [], waiting: null, iterator }
  ;(async () => {
    for await (const event of iterator) {
      watch.events.push(shape(event))
      watch.waiting?.()
    }
  })()
  return watches.push(watch) - 1
}

const operations = {
  async create_bucket({ bucket, ...options }) {
    await objm.create(bucket, options)
  },
  async delete_bucket({ bucket }) {
    await (await objm.open(bucket)).destroy()
  },
  async put({ bucket, name, data, description, headers, metadata, chunk_size }) {
    const meta = { name, description, metadata }
    if (headers) meta.headers = wireHeaders(headers)
    if (chunk_size) meta.options = { max_chunk_size: chunk_size }
    return plain(await (await objm.open(bucket)).putBlob(meta, decode(data)))
  },
  async get({ bucket, name }) {
    const data = await (await objm.open(bucket)).getBlob(name)
    return data === null ? null : encode(data)
  },
  async info({ bucket, name }) {
    const info = await (await objm.open(bucket)).info(name)
    return info === null || info.deleted ? null : plain(info)
  },
  async list({ bucket }) {
    return (await (await objm.open(bucket)).list()).map(plain)
  },
  async delete({ bucket, name }) {
    await (await objm.open(bucket)).delete(name)
  },
  async update_meta({ bucket, name, new_name, headers, ...changes }) {
    if (headers) changes.headers = wireHeaders(headers)
    await (await objm.open(bucket)).update(name, { name: new_name ?? name, ...changes })
  },
  async link({ bucket, name, target }) {
    const store = await objm.open(bucket)
    await store.link(name, await store.info(target))
  },
  async seal({ bucket }) {
    await (await objm.open(bucket)).seal()
  },
  async watch({ bucket }) {
    return gather(await (await objm.open(bucket)).watch({ includeHistory: true }), plain)
  },
  async kv_create_bucket({ bucket, history, marker_ttl }) {
    const options = { history: history ?? 1 }
    if (marker_ttl) options.markerTTL = marker_ttl * 1000
    await kvm.create(bucket, options)
  },
  async kv_put({ bucket, key, value }) {
    return await (await kvm.open(bucket)).put(key, decode(value))
  },
  async kv_create({ bucket, key, value, ttl }) {
    return await (await kvm.open(bucket)).create(key, decode(value), ttl && `${ttl}s`)
  },
  async kv_update({ bucket, key, value, revision }) {
    await (await kvm.open(bucket)).update(key, decode(value), revision)
  },
  async kv_get({ bucket, key, revision }) {
    const entry = await (await kvm.open(bucket)).get(key, { revision })
    return entry === null || entry.operation !== 'PUT' ? null : encode(entry.value)
  },
  async kv_delete({ bucket, key, revision }) {
    await (await kvm.open(bucket)).delete(key, { previousSeq: revision })
  },
  async kv_purge({ bucket, key, ttl }) {
    await (await kvm.open(bucket)).purge(key, { ttl: ttl && `${ttl}s` })
  },
  async kv_purge_deletes({ bucket }) {
    await (await kvm.open(bucket)).purgeDeletes(-60000) // of a clock that is ahead, too
  },
  async kv_keys({ bucket }) {
    const keys = []
    for await (const key of await (await kvm.open(bucket)).keys()) keys.push(key)
    return keys
  },
  async kv_history({ bucket, key }) {
    const entries = []
    for await (const entry of await (await kvm.open(bucket)).history({ key })) entries.push(plainEntry(entry))
    return entries
  },
  async kv_watch({ bucket, pattern }) {
    return gather(await (await kvm.open(bucket)).watch({ key: pattern }), plainEntry)
  },
  async service_start({ name, subject }) {
    service = await svcm.add({ name, version: '0.0.1', metadata: { made: 'elsewhere' } })
    service.addEndpoint('double', {
      subject,
      handler: (error, message) => {
        const number = Number(message.string())
        if (Number.isNaN(number)) message.respondError(400, 'not a number')
        else message.respond(String(2 * number))
      },
    })
  },
  async service_stop() {
    await service.stop()
  },
  async service_find({ what, name }) {
    const found = []
    for await (const answer of await svcm.client()[what](name)) found.push(answer)
    return found
  },
  async service_call({ subject, payload }) {
    const answer = await client.request(subject, payload)
    return {
      payload: answer.string(),
      code: answer.headers?.get('Nats-Service-Error-Code') || null,
      description: answer.headers?.get('Nats-Service-Error') || null,
    }
  },
  async fetch({ stream, consumer, number }) {
    const durable = await jetstream(client).consumers.get(stream, consumer)
    const found = []
    while (found.length < number) {
      const batch = await durable.fetch({ max_messages: number - found.length, expires: 10000 })
      for await (const message of batch) {
        await message.ackAck()
        found.push({ subject: message.subject, value: encode(message.data), seq: message.seq })
      }
    }
    return found
  },
  async schedule({ subject, value, target }) {
    const specification = new Date(Date.now() + 200)
    await jetstream(client).publish(subject, decode(value), { schedule: { specification, target } })
  },
  async next({ watch, seconds }) {
    const { events } = watches[watch]
    if (!events.length) {
      let timer
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error('no event')), seconds * 1000)
      })
      const arrival = new Promise((resolve) => (watches[watch].waiting = resolve))
      await Promise.race([late, arrival])
      clearTimeout(timer)
    }
    return events.shift()
  },
  async stop({ watch }) {
    watches[watch].iterator.stop()
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...args } = JSON.parse(line)
  let answer
  try {
    answer = { result: (await operations[op](args)) ?? null }
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
await client.close()
