// The writer of one row, in its own process: sends archives by plan and prints, one JSON line each,
//   what it was told. node dist-test/torture/writer.js
//   '{"kind":"tarspout","path":...,"seed":1,"from":0,"archives":10,...}'
import { constants, createWriteStream, open } from 'node:fs'
import { Socket } from 'node:net'
import { Readable, type Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { pack } from 'tar-stream'
import type { Told } from './judge.js'
import { Plan, type PlanLimits } from './plan.js'
import type { Confirm, Connection, WriterKind } from './rows.js'

export interface WriterOptions {
  readonly kind: WriterKind
  readonly path: string
  readonly seed: number
  readonly limits: PlanLimits
  /** First archive. */
  readonly from: number
  /** One past the last. */
  readonly archives: number
  readonly connection: Connection
  readonly confirm: Confirm | undefined
  readonly pipeSize: number | undefined
  readonly highWaterMark: number | undefined
  readonly zeroCopy: boolean | undefined
  /** Milliseconds between the starts of two archives. */
  readonly everyMs: number | undefined
}

const options: WriterOptions = JSON.parse(process.argv[2] ?? '{}')
const plan = new Plan(options.seed, options.limits)
const tell = (told: Told) => process.stdout.write(`${JSON.stringify(told)}\n`)

const started = Date.now()
/** Waits until an archive is due, for sources that give one now and then. */
async function due(archive: number) {
  if (options.everyMs === undefined) return
  const at = started + (archive - options.from) * options.everyMs
  if (at > Date.now()) await delay(at - Date.now())
}

interface Commit {
  add(name: string, data: Uint8Array): boolean
  ready(): Promise<void>
  end(): Promise<{ attempts: number }>
}
interface Spout {
  beginCommit(): Commit
  close(): Promise<void>
}

async function tarspout() {
  // Not a static import: the other writers must run without the engine.
  const { openSpout } = (await import('tarspout')) as unknown as {
    openSpout(options: object): Promise<Spout>
  }
  const { path, connection, confirm, pipeSize, highWaterMark, zeroCopy } = options
  const spout = await openSpout({ path, connection, confirm, pipeSize, highWaterMark, zeroCopy })
  const pending = new Set<Promise<void>>()
  const most = connection === 'persistent' ? 16 : 1
  for (let archive = options.from; archive < options.archives; archive++) {
    await due(archive)
    const commit = spout.beginCommit()
    for (const entry of plan.archive(archive)) {
      if (!commit.add(entry.name, plan.body(entry))) await commit.ready()
    }
    const settled: Promise<void> = commit
      .end()
      .then(
        ({ attempts }) => tell({ archive, outcome: 'delivered', attempts }),
        (error) =>
          tell({ archive, outcome: 'rejected', attempts: 0, code: error.code ?? error.message }),
      )
      .then(() => void pending.delete(settled))
    pending.add(settled)
    while (pending.size >= most) await Promise.race(pending)
  }
  await Promise.all(pending)
  await spout.close()
}

/** An archive as tar-stream makes it. Its end is two zero blocks. */
function packed(archive: number): Readable {
  const archiver = pack()
  const add = async () => {
    for (const entry of plan.archive(archive)) {
      const header: HeaderArgument = {
        name: entry.name,
        size: entry.size,
        mode: 0o600,
        mtime: new Date(0),
      }
      await new Promise<void>((resolve, reject) => {
        const sink = archiver.entry(header, Buffer.from(plan.body(entry)), (error) =>
          error ? reject(error) : resolve(),
        )
        sink?.on('error', () => {}) // the callback has it too
      })
    }
    archiver.finalize()
  }
  add().catch((error) => archiver.destroy(error))
  return Readable.from(archiver)
}

async function openSocket(): Promise<Socket> {
  const fd = await promisify(open)(options.path, constants.O_WRONLY)
  const socket = new Socket({ fd, readable: false, writable: true })
  socket.on('error', () => {}) // the write's callback has it too
  return socket
}

type HeaderArgument = Parameters<ReturnType<typeof pack>['entry']>[0]

const tries = 32

/** Sends an archive again from its start after an error, as the spout documentation advises. */
async function insist(archive: number, send: () => Promise<void>) {
  let code: string | undefined
  for (let attempts = 1; attempts <= tries; attempts++) {
    try {
      await send()
      return tell({ archive, outcome: 'delivered', attempts })
    } catch (error) {
      code = (error as NodeJS.ErrnoException).code ?? String(error)
      await delay(20)
    }
  }
  tell({ archive, outcome: 'rejected', attempts: tries, code })
}

async function fileStream() {
  for (let archive = options.from; archive < options.archives; archive++) {
    await due(archive)
    await insist(archive, () => pipeline(packed(archive), createWriteStream(options.path)))
  }
}

async function writeAll(source: Readable, target: Writable) {
  for await (const chunk of source) {
    await new Promise<void>((resolve, reject) => {
      target.write(chunk, (error) => (error ? reject(error) : resolve()))
    })
  }
}

async function socketStream() {
  let socket: Socket | undefined
  for (let archive = options.from; archive < options.archives; archive++) {
    await due(archive)
    await insist(archive, async () => {
      socket ??= await openSocket()
      const target = socket
      try {
        await writeAll(packed(archive), target)
        if (options.connection === 'persistent') return
      } catch (error) {
        socket = undefined
        target.destroy()
        throw error
      }
      socket = undefined
      target.destroy()
      await finished(target).catch(() => {})
    })
  }
  socket?.destroy()
}

const writers = { tarspout, createWriteStream: fileStream, 'net.Socket': socketStream }
await writers[options.kind]()
